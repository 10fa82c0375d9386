"""Perceptual loss and distances on the offline feature network."""

from collections.abc import Sequence
from dataclasses import dataclass

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
        return self.distances(x.detach(), x_hat).mean()

    def distances(self, x: Tensor, y: Tensor) -> Tensor:
        """Distances (N,) of pairs of images (N, C, H, W) in [-1, 1], picture by picture."""
        pairs = zip(self.unit_maps(x), self.unit_maps(y), strict=True)
        return torch.stack([(f - g).square().sum(dim=1).mean(dim=(1, 2)) for f, g in pairs]).sum(dim=0)

    def unit_maps(self, x: Tensor) -> list[Tensor]:
        """Feature maps (N, C_i, H_i, W_i) of each tap, of unit length at each place."""
        network = self.network or efflite0(x.device)
        maps = network.maps(x, self.taps, self.min_size)
        return [f * (f.square().sum(dim=1, keepdim=True) + self.eps).rsqrt() for f in maps]


@dataclass(frozen=True)
class EffLite0Distance:
    """:class:`PerceptualLoss` of single pictures, the offline twin of LPIPS (see ``pairwise.ImageDistance``).

    Args:
        taps: 0-based MBConv block indices, ascending.
        min_size: Images are enlarged until their shorter side has this many pixels; None keeps every size.
    """

    taps: Sequence[int] = (0, 2, 4, 10)
    min_size: int | None = 64

    @property
    def name(self) -> str:
        """How result files call it."""
        return f"efflite0/blocks{'-'.join(map(str, self.taps))}"

    @property
    def resize(self) -> str | None:
        """How result files call the resize filter."""
        return resize_name(self.min_size)

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        """Distances (N,) of images (N, C, H, W) in [-1, 1]."""
        return PerceptualLoss(self.taps, self.min_size).distances(x, y)


@dataclass(frozen=True)
class EffLite0Maps:
    """Features whose cosine similarity orders pictures as :class:`EffLite0Distance` does, for nearest neighbours.

    Each tap's maps have unit length at each place and are divided by the root of the number of places, so that half of
    the squared difference of two pictures is 1 - cosine, tap by tap. Unlike pooled features they know what lies where.

    Args:
        taps: 0-based MBConv block indices, ascending.
        min_size: Images are enlarged until their shorter side has this many pixels; None keeps every size.
    """

    taps: Sequence[int] = (0, 2, 4, 10)
    min_size: int | None = 64
    num_features = 0  # as many as there are
    keep = False  # too long to be kept on disk

    def __post_init__(self) -> None:
        object.__setattr__(self, "taps", tuple(self.taps))  # a list could not be hashed

    @property
    def name(self) -> str:
        """How result files call it."""
        return f"efflite0/blocks{'-'.join(map(str, self.taps))}"

    @property
    def resize(self) -> str:
        """How result files call the resize filter."""
        return resize_name(self.min_size) or "as it is"

    def __call__(self, x: Tensor) -> Tensor:
        """Images (N, C, H, W) in [-1, 1] to features (N, sum of C_i H_i W_i)."""
        maps = PerceptualLoss(self.taps, self.min_size).unit_maps(x)
        return torch.cat([f.flatten(1) / (f.shape[2] * f.shape[3]) ** 0.5 for f in maps], dim=1)


@dataclass(frozen=True)
class EffLite0RawDistance:
    """Mean squared difference of one raw feature map, the offline twin of the VGG loss; its scale is its own.

    Args:
        tap: 0-based MBConv block index; block 4 has the stride (8) of VGG16's relu4_3.
        min_size: Images are enlarged until their shorter side has this many pixels; None keeps every size.
    """

    tap: int = 4
    min_size: int | None = 64

    @property
    def name(self) -> str:
        """How result files call it."""
        return f"efflite0/raw{self.tap}"

    @property
    def resize(self) -> str | None:
        """How result files call the resize filter."""
        return resize_name(self.min_size)

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        """Distances (N,) of images (N, C, H, W) in [-1, 1]."""
        f, g = (efflite0(x.device).maps(each, (self.tap,), self.min_size)[0] for each in (x, y))
        return (f - g).square().mean(dim=(1, 2, 3))


def resize_name(min_size: int | None) -> str | None:
    """How result files call the enlargement to ``min_size`` pixels."""
    return None if min_size is None else f"bilinear antialias, at least {min_size} px"
