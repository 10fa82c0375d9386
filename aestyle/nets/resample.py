"""Resampling with the [1, 3, 3, 1] filter of StyleGAN2, on native convolutions that can be differentiated twice."""

from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional as F


@lru_cache(maxsize=64)
def _filter(gain: float, dtype: torch.dtype, device: torch.device) -> Tensor:
    """The outer product of [1, 3, 3, 1] with itself, scaled to the sum ``gain``; shape (1, 1, 4, 4)."""
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0], dtype=dtype, device=device)
    kernel = torch.outer(taps, taps)
    return (kernel * (gain / kernel.sum()))[None, None]


def blur(x: Tensor, padding: int, stride: int = 1, gain: float = 1.0) -> Tensor:
    """Low-pass filters each channel.

    Args:
        x: (N, C, H, W).
        padding: zeros added on every side; the filter has 4 taps, so 1 shortens each side by one pixel, 2 lengthens it.
        stride: 2 keeps every second pixel.
        gain: sum of the filter's taps; 4 makes up for the zeros that a transposed convolution inserts.
    """
    channels = x.shape[1]
    kernel = _filter(gain, x.dtype, x.device).expand(channels, 1, 4, 4)
    return F.conv2d(x, kernel, stride=stride, padding=padding, groups=channels)


def upsample2(x: Tensor) -> Tensor:
    """Doubles height and width: (N, C, H, W) to (N, C, 2H, 2W), mean brightness kept."""
    channels = x.shape[1]
    kernel = _filter(4.0, x.dtype, x.device).expand(channels, 1, 4, 4)
    return F.conv_transpose2d(x, kernel, stride=2, padding=1, groups=channels)
