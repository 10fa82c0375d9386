"""Convolution whose weights are scaled by a style for each output channel (Poirier-Ginter et al., 2022, Equation 2).

The scale no longer factors out of the convolution, so that every sample needs weights of its own. On the CPU each
sample's weights are made and used one after the other: they stay in the cache, and oneDNN runs an ordinary
convolution: at 512 channels faster than one grouped convolution or products with unfolded activations. A GPU takes the
grouped convolution, one kernel for the batch.
"""

from typing import Any

import torch
from torch import Tensor

from aestyle.nets.convolution import Options, conv2d, conv_transpose2d, gradients, is_differentiated_twice
from aestyle.nets.precision import autocasts


def convolve_rows(x: Tensor, weight: Tensor, styles: Tensor, up: bool = False) -> Tensor:
    """Convolution with ``weight[o, i] * styles[n, o, i]`` for sample n, in the fastest form known.

    Args:
        x: (N, in, H, W).
        weight: (out, in, k, k), k odd.
        styles: (N, out, in).
        up: transposed convolution of stride 2 without padding.

    Returns:
        (N, out, H, W), or (N, out, 2H + k - 2, 2W + k - 2).
    """
    return (convolve_rows_grouped if x.is_cuda and len(x) else convolve_rows_one_by_one)(x, weight, styles, up)


def convolve_rows_grouped(x: Tensor, weight: Tensor, styles: Tensor, up: bool = False) -> Tensor:
    """:func:`convolve_rows` as one convolution with a group for each sample."""
    n, out = styles.shape[:2]
    if up:
        weight, styles = weight.transpose(0, 1), styles.transpose(1, 2)
    weights = (weight * styles[..., None, None]).flatten(0, 1)
    y = _convolve(x.contiguous().flatten(0, 1)[None], weights, up, groups=n)
    return y.view(n, out, *y.shape[2:]).contiguous(memory_format=torch.channels_last)


def convolve_rows_one_by_one(x: Tensor, weight: Tensor, styles: Tensor, up: bool = False) -> Tensor:
    """:func:`convolve_rows` as one convolution for each sample."""
    if up:  # products in the order of memory that transposed convolutions read
        weight, styles = weight.transpose(0, 1), styles.transpose(1, 2).contiguous()
    if not len(x):  # as the share of a rank may be
        return _convolve(x, weight, up)
    # Autograd's own way has a second derivative, narrow numbers and compilers on its side.
    if is_differentiated_twice() or autocasts(x.device.type) or torch.compiler.is_compiling():
        return _by_autograd(x, weight, styles, up)
    y: Tensor = _OneByOne.apply(x, weight, styles, up)
    return y


def _convolve(x: Tensor, weight: Tensor, up: bool, groups: int = 1) -> Tensor:
    """A convolution by (groups * out, in, k, k), or a transposed one of stride 2 by (groups * in, out, k, k)."""
    if up:
        return conv_transpose2d(x, weight, stride=2, groups=groups)
    return conv2d(x, weight, padding=weight.shape[-1] // 2, groups=groups)


def _by_autograd(x: Tensor, weight: Tensor, styles: Tensor, up: bool) -> Tensor:
    samples = zip(x.split(1), styles[..., None, None], strict=True)
    return torch.cat([_convolve(image, weight * style, up) for image, style in samples])


class _OneByOne(torch.autograd.Function):
    """:func:`_by_autograd`, whose gradients are summed over samples and kernels without memory in between."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, styles: Tensor, up: bool) -> Tensor:
        kept, images = [], []
        for image, style in zip(x.split(1), styles[..., None, None], strict=True):
            own = weight * style
            images.append(_convolve(image, own, up))
            if any(ctx.needs_input_grad):
                kept.append(own)
        ctx.save_for_backward(x, weight, styles, *kept)
        ctx.up = up
        return torch.cat(images)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, styles, *kept = ctx.saved_tensors
        if torch.is_grad_enabled():  # the gradient is differentiated as well
            asked = [leaf for leaf in (x, weight, styles) if leaf.requires_grad]
            y = _by_autograd(x, weight, styles, ctx.up)
            found = iter(torch.autograd.grad(y, asked, gradient, create_graph=True))
            return *(next(found) if leaf.requires_grad else None for leaf in (x, weight, styles)), None
        by_images, by_weight, by_styles = [], torch.zeros_like(weight), torch.zeros_like(styles)
        options, wanted = _options(weight, ctx.up), [ctx.needs_input_grad[0], any(ctx.needs_input_grad[1:3])]
        samples = zip(gradient.split(1), x.split(1), styles[..., None, None], kept, by_styles, strict=True)
        for y, image, style, own, by_style in samples:
            by_image, by_own, _ = gradients(y, image, own, options, wanted)
            by_images.append(by_image)
            if wanted[1]:
                by_weight.addcmul_(by_own, style)
                for part, factor in zip(by_own.flatten(2).unbind(2), weight.flatten(2).unbind(2), strict=True):
                    by_style.addcmul_(part, factor)
        return torch.cat(by_images) if wanted[0] else None, by_weight, by_styles, None


def _options(weight: Tensor, up: bool) -> Options:
    """Those of :func:`_convolve`."""
    return [1 + up] * 2, [0 if up else weight.shape[-1] // 2] * 2, [1, 1], up, [0, 0], 1
