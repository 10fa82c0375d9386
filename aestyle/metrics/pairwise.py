"""Distances between two pictures in the features of published networks."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Protocol

from torch import Tensor

from aestyle.errors import UserError
from aestyle.metrics.backbones import backbone
from aestyle.metrics.lpips import LPIPS, NETS
from aestyle.metrics.vgg import CONVENTIONS, RELU4_3
from aestyle.metrics.weights import Published, load_weights

MIN_SIZE = {"alex": 31, "vgg": 16}
"""Smaller pictures leave nothing of LPIPS's deepest feature maps."""


class ImageDistance(Protocol):
    """A distance of two pictures, seen through a feature network."""

    @property
    def name(self) -> str:
        """How result files call the network; says so if its weights are not the published ones."""
        ...

    @property
    def resize(self) -> str | None:
        """How result files call the resize filter; None where pictures keep their size."""
        ...

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        """Two batches of images (N, C, H, W) in [-1, 1] to their distances (N,)."""
        ...


@dataclass(frozen=True)
class LPIPSDistance:
    """LPIPS v0.1 with the published weights, of pictures at their own size.

    Args:
        net: ``alex`` or ``vgg``.
        weights: A file with the backbone's weights; None looks in the usual folders.
        download: Whether a missing backbone may be fetched.

    Raises:
        UserError: There is no such net; at the first use: no weights, or pictures too small for the network.
    """

    net: str = "alex"
    weights: str | None = None
    download: bool = False

    def __post_init__(self) -> None:
        LPIPS(self.net)

    @property
    def name(self) -> str:
        """How result files call it."""
        return f"lpips-v0.1/{self.net}{_label(NETS[self.net][0], self.weights, self.download)}"

    @property
    def resize(self) -> str | None:
        """Pictures keep their size."""
        return None

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        """Distances (N,) of images (N, C, H, W) in [-1, 1]."""
        if min(x.shape[-2:]) < MIN_SIZE[self.net]:
            raise UserError(
                f"LPIPS with net={self.net} needs pictures of at least {MIN_SIZE[self.net]} px, these have "
                f"{min(x.shape[-2:])}: choose the efflite0 metrics"
            )
        return LPIPS(self.net, self.weights, self.download)(x, y)


@dataclass(frozen=True)
class VGG16Distance:
    """Mean squared difference of raw relu4_3 maps, picture by picture (see ``vgg.VGG16Perceptual``).

    Args:
        convention: ``caffe`` or ``torchvision``: whose weights, with their normalisation.
        weights: A file of weights; None looks in the usual folders.
        download: Whether missing weights may be fetched (torchvision's only).
    """

    convention: str = "caffe"
    weights: str | None = None
    download: bool = False

    @property
    def name(self) -> str:
        """How result files call it."""
        label = _label(CONVENTIONS[self.convention][0], self.weights, self.download)
        return f"vgg16-{self.convention}/relu4_3{label}"

    @property
    def resize(self) -> str | None:
        """Pictures keep their size."""
        return None

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        """Distances (N,) of images (N, C, H, W) in [-1, 1]."""
        published, normalise = CONVENTIONS[self.convention]
        network = backbone(published, self.weights, self.download, RELU4_3 + 1, x.device)
        f, g = (network.maps(normalise(each), (RELU4_3,))[0] for each in (x, y))
        return (f - g).square().mean(dim=(1, 2, 3))


@cache
def _label(published: Published, weights: str | None, download: bool) -> str:
    return load_weights(published, weights, download).label
