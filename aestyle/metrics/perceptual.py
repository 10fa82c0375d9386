"""Perceptual loss on the offline feature network."""

from collections.abc import Sequence

import torch
from torch import Tensor

from aestyle.metrics.efflite0 import EfficientNetLite0, efflite0


class PerceptualLoss:
    """Distance of two image batches in the feature maps of EfficientNet-lite0.

    At each tap the maps are scaled to unit length over the channels, their squared difference is summed over the
    channels and averaged over space and batch; the taps are summed. This is the unweighted form of Equation 1 of
    LPIPS (Zhang et al., arXiv:1801.03924), with another network: its values are not LPIPS values.

    It holds no network of its own and is no ``nn.Module``, so that nothing of it reaches a checkpoint.

    Args:
        taps: 0-based MBConv block indices, ascending (see ``EfficientNetLite0``).
        min_size: Enlarge images to at least this many pixels first; None: as they are.
        eps: Added to the squared length of a feature vector, so that a zero vector has a finite gradient.
        network: Use this network in place of the shared one.
    """

    def __init__(
        self,
        taps: Sequence[int] = (0, 2, 4, 10),
        min_size: int | None = None,
        eps: float = 1e-8,
        network: EfficientNetLite0 | None = None,
    ) -> None:
        self.taps = tuple(taps)
        self.min_size = min_size
        self.eps = eps
        self.network = network

    def __call__(self, x: Tensor, x_hat: Tensor) -> Tensor:
        """Distance of ``x_hat`` from the target ``x``; no gradient flows to ``x``.

        Args:
            x: Target images (N, C, H, W) in [-1, 1].
            x_hat: Images of the same shape.

        Returns:
            Scalar, at least 0, and 0 for equal images.
        """
        with torch.no_grad():
            targets = self._unit_maps(x)
        pairs = zip(targets, self._unit_maps(x_hat), strict=True)
        return torch.stack([(f - f_hat).square().sum(dim=1).mean() for f, f_hat in pairs]).sum()

    def _unit_maps(self, x: Tensor) -> list[Tensor]:
        network = self.network or efflite0(x.device)
        maps = network.maps(x, self.taps, self.min_size)
        return [f * (f.square().sum(dim=1, keepdim=True) + self.eps).rsqrt() for f in maps]
