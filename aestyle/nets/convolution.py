"""Convolutions with a fast second derivative, for regularisers of gradients (R1, path length, WGAN-GP).

Output y, image x and kernel w of a convolution hang together by three bilinear maps, all of which PyTorch has fast
kernels for: (x, w) to y, (y, w) to a gradient by x, (y, x) to one by w. The derivatives of each are the other two. The
second derivative of the native convolution is composed otherwise, with images in the place of kernels, and returns the
weight's gradient in another memory format, so that adding it to other gradients is slow.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from aestyle.nets.precision import autocasts

Options = tuple[list[int], list[int], list[int], bool, list[int], int]
"""Stride, padding, dilation, whether transposed, output padding, groups."""

_twice = False


@contextmanager
def differentiated_twice(on: bool = True) -> Iterator[None]:
    """What runs inside is differentiated twice; also a decorator for losses.

    Convolutions are then those of this module, and :class:`~aestyle.engine.passes.Passes` of networks are in full
    precision and are not compiled: a second derivative through narrow numbers is mostly noise, and compiled passes
    have none.

    Args:
        on: False: once.
    """
    global _twice
    before, _twice = _twice, on
    try:
        yield
    finally:
        _twice = before


def is_differentiated_twice() -> bool:
    """Whether :func:`differentiated_twice` holds."""
    return _twice


def conv2d(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, stride: int = 1, padding: int = 0, groups: int = 1
) -> Tensor:
    """``torch.nn.functional.conv2d``: x (N, in, H, W) by weight (out, in / groups, k, k)."""
    if not _twice:
        return F.conv2d(x, weight, bias, stride, padding, groups=groups)
    y = _convolved(x, weight, ([stride] * 2, [padding] * 2, [1, 1], False, [0, 0], groups))
    return y if bias is None else y + bias.view(-1, 1, 1)


def conv_transpose2d(x: Tensor, weight: Tensor, stride: int = 1, groups: int = 1) -> Tensor:
    """``torch.nn.functional.conv_transpose2d`` without padding: x (N, in, H, W) by weight (in, out / groups, k, k)."""
    if not _twice:
        return F.conv_transpose2d(x, weight, stride=stride, groups=groups)
    return _convolved(x, weight, ([stride] * 2, [0, 0], [1, 1], True, [0, 0], groups))


def _convolved(x: Tensor, weight: Tensor, options: Options) -> Tensor:
    """The output. Each gradient has a node that knows of one input only, so that autograd can leave it out."""
    assert not autocasts(x.device.type), "what is differentiated twice runs in full precision"
    y: Tensor = _ThroughX.apply(x, (weight,), options)
    return y + _ThroughWeight.apply(weight, (x,), options, y.shape) if weight.requires_grad else y


def gradients(y: Tensor, x: Tensor, weight: Tensor, options: Options, asked: list[bool]) -> list[Tensor]:
    """By x and by weight; of a tensor that no gradient asked for depends on, only the shape counts."""
    return list(torch.ops.aten.convolution_backward.default(y, x, weight, None, *options, [*asked, False]))


class _ThroughX(torch.autograd.Function):
    """The output, as a function of the image alone."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, other: tuple[Tensor], options: Options) -> Tensor:
        ctx.save_for_backward(x, *other)
        ctx.options = options
        return torch.ops.aten.convolution.default(x, *other, None, *options)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return _ByX.apply(gradient, *ctx.saved_tensors, ctx.options), None, None


class _ThroughWeight(torch.autograd.Function):
    """Zeros of the output's shape that have its gradient by the weight."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, other: tuple[Tensor], options: Options, shape: torch.Size) -> Tensor:
        ctx.save_for_backward(*other, weight)
        ctx.options = options
        return weight.new_zeros(()).expand(shape)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        return _ByWeight.apply(gradient, *ctx.saved_tensors, ctx.options), None, None, None


class _ByX(torch.autograd.Function):
    """The gradient by x: linear in that by the output, y, and in the weight."""

    @staticmethod
    def forward(ctx: Any, y: Tensor, x: Tensor, weight: Tensor, options: Options) -> Tensor:
        ctx.save_for_backward(y, weight)
        ctx.options = options
        return gradients(y, x, weight, options, [True, False])[0]

    @staticmethod
    def backward(ctx: Any, along: Tensor) -> tuple[Tensor | None, ...]:
        y, weight = ctx.saved_tensors
        by_y = _convolved(along, weight, ctx.options) if ctx.needs_input_grad[0] else None
        by_weight = _ByWeight.apply(y, along, weight, ctx.options) if ctx.needs_input_grad[2] else None
        return by_y, None, by_weight, None


class _ByWeight(torch.autograd.Function):
    """The gradient by the weight: linear in that by the output, y, and in x."""

    @staticmethod
    def forward(ctx: Any, y: Tensor, x: Tensor, weight: Tensor, options: Options) -> Tensor:
        ctx.save_for_backward(y, x)
        ctx.options = options
        return gradients(y, x, weight, options, [False, True])[1]

    @staticmethod
    def backward(ctx: Any, along: Tensor) -> tuple[Tensor | None, ...]:
        y, x = ctx.saved_tensors
        by_y = _convolved(x, along, ctx.options) if ctx.needs_input_grad[0] else None
        by_x = _ByX.apply(y, x, along, ctx.options) if ctx.needs_input_grad[1] else None
        return by_y, by_x, None, None
