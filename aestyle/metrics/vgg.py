"""The perceptual loss on raw VGG16 features that the paper and its code use."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from aestyle.errors import UserError
from aestyle.metrics.backbones import VGG16, VGG16_CAFFE, backbone, caffe_normalise, imagenet_normalise

RELU4_3 = 22
"""Index of the last layer that is computed: the ReLU of the third convolution of block 4."""

CONVENTIONS = {"caffe": (VGG16_CAFFE, caffe_normalise), "torchvision": (VGG16, imagenet_normalise)}


class VGG16Perceptual:
    """Mean squared difference of the relu4_3 maps of VGG16, raw and at the images' own size.

    AE-StyleGAN's h of Equation 2, as in In-Domain GAN Inversion (Zhu et al., arXiv:2004.00049), whose weights follow
    Caffe's convention. Its weight ``lambda_vgg = 5e-5`` fits their scale only: torchvision's weights, on normalised
    input, give values that are smaller by orders of magnitude.

    The network is looked for at the first call; it is no part of this object, so that it reaches no checkpoint.

    Args:
        convention: ``caffe`` or ``torchvision``: whose weights, with their normalisation.
        weights: A file of weights; None looks in the usual folders (see ``aestyle.metrics.weights``).
        download: Whether missing weights may be fetched (torchvision's only).

    Raises:
        UserError: There is no such convention; at the first call: the weights are missing or damaged.
    """

    def __init__(self, convention: str = "caffe", weights: str | None = None, download: bool = False) -> None:
        if convention not in CONVENTIONS:
            raise UserError(f"perceptual.convention={convention}: choose one of {', '.join(CONVENTIONS)}")
        self.convention = convention
        self.weights = weights
        self.download = download

    def __call__(self, x: Tensor, x_hat: Tensor) -> Tensor:
        """Distance of ``x_hat`` from the target ``x``; no gradient flows to ``x``.

        Args:
            x: Target images (N, C, H, W) in [-1, 1], at least 8 pixels a side.
            x_hat: Images of the same shape.

        Returns:
            Scalar, at least 0, and 0 for equal images.
        """
        with torch.no_grad():
            target = self._features(x)
        return F.mse_loss(self._features(x_hat), target)

    def _features(self, x: Tensor) -> Tensor:
        published, normalise = CONVENTIONS[self.convention]
        network = backbone(published, self.weights, self.download, RELU4_3 + 1, x.device)
        return network.maps(normalise(x), (RELU4_3,))[0]
