"""LPIPS, the learned perceptual distance, with gradients that stay finite."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor

from aestyle.errors import UserError
from aestyle.metrics.backbones import ALEXNET, VGG16, backbone, unit_length

NETS = {"alex": (ALEXNET, (1, 4, 7, 9, 11)), "vgg": (VGG16, (3, 8, 15, 22, 29))}
"""Backbone and the ReLU layers that are compared, by the names of the lpips package."""


class LPIPS:
    """Learned perceptual image patch similarity, v0.1 (Zhang et al., arXiv:1801.03924).

    Backbones are torchvision's, the linear heads come with the ``lpips`` package. ``eps`` stands inside the root of
    the channel norm (there: beside it), so that dead features have a gradient; values agree to float precision.

    The networks are looked for at the first call and are no part of this object.

    Args:
        net: ``alex`` or ``vgg``.
        weights: A file with the backbone's weights; None looks in the usual folders.
        download: Whether a missing backbone may be fetched.
        eps: Added to the squared length of a feature vector.

    Raises:
        UserError: There is no such net; at the first call: the weights are missing or damaged.
    """

    def __init__(
        self, net: str = "alex", weights: str | None = None, download: bool = False, eps: float = 1e-10
    ) -> None:
        if net not in NETS:
            raise UserError(f"LPIPS: net={net}: choose one of {', '.join(NETS)}")
        self.net = net
        self.weights = weights
        self.download = download
        self.eps = eps

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        """Distances of pairs of images.

        Args:
            x: Images (N, C, H, W) in [-1, 1]; grey ones count as RGB.
            y: Images of the same shape.

        Returns:
            (N,), at least 0, and 0 with gradient 0 for equal images.
        """
        pairs = zip(self._unit_maps(x), self._unit_maps(y), _heads(self.net, x.device), strict=True)
        return torch.stack([((f - g).square() * head).sum(dim=1).mean(dim=(1, 2)) for f, g, head in pairs]).sum(dim=0)

    def _unit_maps(self, x: Tensor) -> list[Tensor]:
        published, taps = NETS[self.net]
        network = backbone(published, self.weights, self.download, taps[-1] + 1, x.device)
        return [unit_length(maps, self.eps) for maps in network.maps(_scale(x), taps)]


def _scale(x: Tensor) -> Tensor:
    """ImageNet's normalisation with the lpips package's rounded constants, for images in [-1, 1]."""
    shift, scale = x.new_tensor([[-0.030, -0.088, -0.188], [0.458, 0.448, 0.450]]).view(2, 1, 3, 1, 1)
    return (x - shift) / scale  # grey images become RGB by broadcasting


@cache
def _heads(net: str, device: torch.device) -> list[Tensor]:
    spec = find_spec("lpips")
    if spec is None or spec.origin is None:
        raise UserError("the heads of LPIPS are not installed: pip install 'lpips~=0.1.4'")
    file = Path(spec.origin).parent / "weights" / "v0.1" / f"{net}.pth"
    return [head.to(device) for head in torch.load(file, map_location="cpu", weights_only=True).values()]
