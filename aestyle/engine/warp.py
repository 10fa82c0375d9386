"""Affine warps of images that hardly blur or alias, and can be differentiated as often as one likes.

Images are supersampled twice with the orthogonal wavelet SYM6, sampled bilinearly and brought back with the same
wavelet (Karras et al., 2020, "Training Generative Adversarial Networks with Limited Data", appendix B). An identity or
a whole-pixel shift comes back as it was, up to rounding.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

SYM6 = (
    0.015404109327027373,
    0.0034907120842174702,
    -0.11799011114819057,
    -0.048311742585633,
    0.4910559419267466,
    0.787641141030194,
    0.3379294217276218,
    -0.07263752278646252,
    -0.021060292512300564,
    0.04472490177066578,
    0.0017677118642428036,
    -0.007800708325034148,
)
"""Scaling filter of the symlet with six vanishing moments (Daubechies, "Ten Lectures on Wavelets", section 8.1.1)."""

_TAPS = len(SYM6)
_PAD = _TAPS // 4  # pixels that the filter reaches past the image
_CENTRE = sum(i * tap for i, tap in enumerate(SYM6)) / sum(SYM6)
# Where smooth content comes to lie: 0.4 taps before the middle. Taking the middle, as reference code does, moves a
# flipped image by 0.4 pixels.


def warp(images: Tensor, inverse: Tensor) -> Tensor:
    """Warps images; beyond the border they go on mirrored at the outermost pixels' centres, without end.

    Args:
        images: (N, C, H, W), H and W at least 4.
        inverse: (N, 3, 3) or (N, 2, 3), from a position in the result to the one in ``images`` that is seen there: in
            pixels from the image's centre, x to the right and y down.

    Returns:
        (N, C, H, W); the gradient with respect to ``images`` is again differentiable, there is none for ``inverse``.
    """
    height, width = images.shape[2:]
    x, y = (_fine_positions(size, images) for size in (width, height))
    source = [row[:, 0, None, None] * x + row[:, 1, None, None] * y[:, None] + row[:, 2, None, None]
              for row in inverse.detach().unbind(1)[:2]]  # fmt: skip
    grid = torch.stack([_to_grid(at, size) for at, size in zip(source, (width, height), strict=True)], dim=3)
    fine = _doubling(height, images) @ images @ _doubling(width, images).T
    return _halving(height, images) @ _Gather.apply(fine, grid) @ _halving(width, images).T


def _fine_positions(size: int, like: Tensor) -> Tensor:
    """Where the doubled samples lie that the way back needs: 2 size + 10 positions in pixels from the centre."""
    samples = torch.arange(2 * size + _TAPS - 2, device=like.device, dtype=like.dtype)
    return (samples - _CENTRE) / 2 - (size - 1) / 2


def _to_grid(position: Tensor, size: int) -> Tensor:
    """From pixels from the centre, mirrored into the image, to the coordinates of ``grid_sample``."""
    last = size - 1
    mirrored = last - ((position + last / 2).remainder(2 * last) - last).abs()
    return (2 * mirrored + _CENTRE - (_TAPS - 2) / 2) * (2 / (2 * size - 1)) - 1


def _halving(size: int, like: Tensor) -> Tensor:
    """Filters 2 size + 10 samples and keeps every second: (size, 2 size + 10)."""
    rows = torch.arange(size, device=like.device)[:, None]
    matrix = like.new_zeros(size, 2 * size + _TAPS - 2)
    matrix[rows, 2 * rows + torch.arange(_TAPS, device=like.device)] = like.new_tensor(SYM6)
    return matrix


def _doubling(size: int, like: Tensor) -> Tensor:
    """The adjoint of halving, on a signal that goes on mirrored: (2 size, size).

    Shifted by two, the taps are orthonormal: so halving takes doubling back, and neither needs a factor.
    """
    mirror = F.pad(torch.eye(size).to(like), [_PAD] * 2, mode="reflect").T
    border = _TAPS - 1
    return _halving(size + 2 * _PAD, like).T[border:-border] @ mirror


class _Gather(torch.autograd.Function):
    """Bilinear samples of images at a grid. It is linear in the images, so its derivative needs only the adjoint.

    PyTorch differentiates ``grid_sample`` twice only in its newest versions.
    """

    @staticmethod
    def forward(ctx: Any, images: Tensor, grid: Tensor) -> Tensor:
        ctx.save_for_backward(grid)
        ctx.shape = images.shape
        return F.grid_sample(images, grid, align_corners=True)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        return _Scatter.apply(grads[0], *ctx.saved_tensors, ctx.shape), None


class _Scatter(torch.autograd.Function):
    """The adjoint of :class:`_Gather`."""

    @staticmethod
    def forward(ctx: Any, samples: Tensor, grid: Tensor, shape: torch.Size) -> Tensor:
        ctx.save_for_backward(grid)
        unread = samples.new_zeros(()).expand(shape)  # only the gradient of the grid would depend on the images
        bilinear, zeros, align_corners, of_images_only = 0, 0, True, (True, False)
        return torch.ops.aten.grid_sampler_2d_backward(
            samples, unread, grid, bilinear, zeros, align_corners, of_images_only
        )[0]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        return _Gather.apply(grads[0], *ctx.saved_tensors), None, None
