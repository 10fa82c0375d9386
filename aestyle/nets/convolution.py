"""Convolutions with a fast second derivative, for regularisers of gradients (R1, path length, WGAN-GP).

A convolution is linear in the image and in the kernel, so its second derivatives are convolutions and first derivatives
of convolutions. The native one composes them otherwise, with images in the place of kernels, and gives the kernel's in
an order of memory that the sum with other gradients has to cross. First derivatives are the native ones.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

Options = tuple[list[int], list[int], list[int], bool, list[int], int]
"""Stride, padding, dilation, whether transposed, output padding, groups."""

_twice = False


@contextmanager
def differentiated_twice() -> Iterator[None]:
    """What runs inside is differentiated twice; also a decorator for losses.

    Convolutions are then those of this module, and :class:`~aestyle.engine.passes.Passes` of networks are in full
    precision and are not compiled: a second derivative through narrow numbers is mostly noise, and compiled passes
    have none.
    """
    global _twice
    before, _twice = _twice, True
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
    y = _convolved(x, weight, stride, padding, False, groups)
    return y if bias is None else y + bias.view(-1, 1, 1)


def conv_transpose2d(x: Tensor, weight: Tensor, stride: int = 1, groups: int = 1) -> Tensor:
    """``torch.nn.functional.conv_transpose2d`` without padding: x (N, in, H, W) by weight (in, out / groups, k, k)."""
    if not _twice:
        return F.conv_transpose2d(x, weight, stride=stride, groups=groups)
    return _convolved(x, weight, stride, 0, True, groups)


def _convolved(x: Tensor, weight: Tensor, stride: int, padding: int, transposed: bool, groups: int) -> Tensor:
    options = ([stride] * 2, [padding] * 2, [1, 1], transposed, [0, 0], groups)
    y: Tensor = _Convolution.apply(x, weight, options)
    return y


def _convolution(x: Tensor, weight: Tensor, options: Options) -> Tensor:
    return torch.ops.aten.convolution.default(x, weight, None, *options)


def _gradients(gradient: Tensor, x: Tensor, weight: Tensor, options: Options, asked: tuple[bool, bool]) -> list[Any]:
    """Those by x and weight; what is not asked for is None and serves for its shape only."""
    found = torch.ops.aten.convolution_backward.default(gradient, x, weight, None, *options, [*asked, False])
    return list(found[:2])


class _Convolution(torch.autograd.Function):
    """y(x, w)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, options: Options) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.options = options
        return _convolution(x, weight, options)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        return *_Gradients.apply(gradient, *ctx.saved_tensors, ctx.options, ctx.needs_input_grad[:2]), None


class _Gradients(torch.autograd.Function):
    """The gradients (x', w') of y by x and w, where y' is the one by y: x' is linear in y' and w, w' in y' and x."""

    @staticmethod
    def forward(
        ctx: Any, gradient: Tensor, x: Tensor, weight: Tensor, options: Options, asked: tuple[bool, bool]
    ) -> tuple[Tensor | None, Tensor | None]:
        ctx.save_for_backward(gradient, x, weight)
        ctx.set_materialize_grads(False)
        ctx.options = options
        by_x, by_weight = _gradients(gradient, x, weight, options, asked)
        return by_x, by_weight

    @staticmethod
    def backward(ctx: Any, along_x: Tensor | None, along_weight: Tensor | None) -> tuple[Tensor | None, ...]:
        gradient, x, weight = ctx.saved_tensors
        by_gradient = by_x = by_weight = None
        if along_x is not None:
            if ctx.needs_input_grad[0]:
                by_gradient = _convolution(along_x, weight, ctx.options)
            if ctx.needs_input_grad[2]:
                by_weight = _gradients(gradient, along_x, weight, ctx.options, (False, True))[1]
        if along_weight is not None:
            if ctx.needs_input_grad[0]:
                through_weight = _convolution(x, along_weight, ctx.options)
                by_gradient = through_weight if by_gradient is None else by_gradient + through_weight
            if ctx.needs_input_grad[1]:
                by_x = _gradients(gradient, x, along_weight, ctx.options, (True, False))[0]
        return by_gradient, by_x, by_weight, None, None
