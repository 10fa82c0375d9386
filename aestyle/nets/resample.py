"""Resampling with the [1, 3, 3, 1] filter of StyleGAN2.

A native convolution's second derivative computes the one by its kernel as well, group by group, even where nobody asks
for it: one small convolution for each channel. The filter is constant and linear in the picture, so its backward pass
is its adjoint, and the adjoint's backward pass is the filter.
"""

from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F


@lru_cache(maxsize=64)
def _filter(gain: float, dtype: torch.dtype, device: torch.device) -> Tensor:
    """The outer product of [1, 3, 3, 1] with itself, scaled to the sum ``gain``; shape (1, 1, 4, 4)."""
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0], dtype=dtype, device=device)
    kernel = torch.outer(taps, taps)
    return (kernel * (gain / kernel.sum()))[None, None]


def _kernels(x: Tensor, gain: float) -> Tensor:
    """The filter for each channel of x, (C, 1, 4, 4)."""
    return _filter(gain, x.dtype, x.device).expand(x.shape[1], 1, 4, 4)


class _Filtered(torch.autograd.Function):
    """Convolution of each channel with the filter."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, padding: int, stride: int, gain: float) -> Tensor:
        ctx.size, ctx.options = x.shape[-2:], (padding, stride, gain)
        return _filtered(x, *ctx.options)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        return _Spread.apply(gradient, ctx.size, *ctx.options), None, None, None


class _Spread(torch.autograd.Function):
    """The adjoint of :class:`_Filtered`: a transposed convolution to pictures of a size."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, size: tuple[int, int], padding: int, stride: int, gain: float) -> Tensor:
        ctx.options = (padding, stride, gain)
        return _spread(x, size, *ctx.options)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None, None]:
        return _Filtered.apply(gradient, *ctx.options), None, None, None, None


def _filtered(x: Tensor, padding: int, stride: int, gain: float) -> Tensor:
    return F.conv2d(x, _kernels(x, gain), stride=stride, padding=padding, groups=x.shape[1])


def _spread(x: Tensor, size: tuple[int, int], padding: int, stride: int, gain: float) -> Tensor:
    beyond = [whole + 2 * padding - 4 - stride * (part - 1) for whole, part in zip(size, x.shape[-2:], strict=True)]
    return F.conv_transpose2d(x, _kernels(x, gain), None, stride, padding, beyond, x.shape[1])


def blur(x: Tensor, padding: int, stride: int = 1, gain: float = 1.0) -> Tensor:
    """Low-pass filters each channel.

    Args:
        x: (N, C, H, W).
        padding: zeros added on every side; the filter has 4 taps, so 1 shortens each side by one pixel, 2 lengthens it.
        stride: 2 keeps every second pixel.
        gain: sum of the filter's taps; 4 makes up for the zeros that a transposed convolution inserts.
    """
    return (_Filtered.apply if _is_differentiated(x) else _filtered)(x, padding, stride, gain)


def upsample2(x: Tensor) -> Tensor:
    """Doubles height and width: (N, C, H, W) to (N, C, 2H, 2W), mean brightness kept."""
    size = (2 * x.shape[-2], 2 * x.shape[-1])
    return (_Spread.apply if _is_differentiated(x) else _spread)(x, size, 1, 2, 4.0)


def _is_differentiated(x: Tensor) -> bool:
    """Without gradients the plain operation is used, which exporters understand."""
    return torch.is_grad_enabled() and x.requires_grad
