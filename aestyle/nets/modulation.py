"""Style-modulated convolution (StyleGAN2, Equations 1-3), as a scaling of activations.

Modulating the weights per sample, ``w'_oik = s_i w_oik``, and demodulating them, ``w''_oik = w'_oik / |w'_o|``, equals
scaling the input channels by ``s_i``, one ordinary convolution for the whole batch, and scaling the output channels
by ``1 / |w'_o|``. No grouped convolution is needed.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from aestyle.nets.convolution import conv2d, conv_transpose2d
from aestyle.nets.layers import GAIN, SLOPE, EqualizedLinear, channels_last, clamped
from aestyle.nets.precision import full_precision
from aestyle.nets.resample import blur, upsample2


class ModulatedConv2d(nn.Module):
    """Convolution whose input channels are scaled by a style.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: odd side of the kernel.
        style_dim: width of w; an affine layer (bias 1) turns it into one scale per input channel.
        up: double height and width (transposed convolution, then blur).
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, style_dim: int, up: bool = False) -> None:
        super().__init__()
        weight = torch.randn(out_channels, in_channels, kernel_size, kernel_size)
        # a transposed convolution reads the transposed weight
        ordered = channels_last(weight.transpose(0, 1)).transpose(0, 1) if up else channels_last(weight)
        self.weight = nn.Parameter(ordered)
        self.affine = EqualizedLinear(style_dim, in_channels, bias_init=1.0)
        self.scale = 1 / math.sqrt(in_channels * kernel_size**2)
        self.up = up

    def forward(self, x: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
        """Convolves x (N, in, H, W) under style w (N, style_dim).

        Returns:
            The convolution (N, out, H', W'), not demodulated, and the demodulation factors (N, out, 1, 1), which the
            caller multiplies in where it touches the activations anyway.
        """
        style = self.affine(w) * self.scale
        demodulation = self._demodulation(style)
        x = x * style[:, :, None, None].to(x.dtype)
        if self.up:
            x = blur(conv_transpose2d(x, self.weight.transpose(0, 1), stride=2), padding=1, gain=4.0)
        else:
            x = conv2d(x, self.weight, padding=self.weight.shape[-1] // 2)
        return x, demodulation[:, :, None, None].to(x.dtype)

    @full_precision
    def _demodulation(self, style: Tensor) -> Tensor:
        return torch.rsqrt(style.square() @ self._energy().t() + 1e-8)

    def _energy(self) -> Tensor:
        """Squared lengths of the kernels (out, in), summed in the order of memory: across it takes 15 times as long."""
        energy: Tensor = _Energy.apply(self.weight.transpose(0, 1) if self.up else self.weight)
        return energy.t() if self.up else energy


class _Energy(torch.autograd.Function):
    """``weight.square().sum(dim=(2, 3))`` without the squares in memory; its derivative has derivatives."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor) -> Tensor:
        ctx.save_for_backward(weight)
        first, *others = weight.flatten(2).unbind(2)
        energy = first.square()
        for part in others:
            energy.addcmul_(part, part)
        return energy

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (weight,) = ctx.saved_tensors
        return (2 * gradient)[:, :, None, None] * weight


class StyledConv(nn.Module):
    """Modulated 3x3 convolution, demodulation, noise, bias and leaky ReLU, in this order.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        style_dim: width of w.
        up: double height and width.
        noise: whether the layer has a noise input (its strength starts at 0).
        conv: makes the modulated convolution.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        style_dim: int,
        up: bool = False,
        noise: bool = True,
        conv: Callable[..., ModulatedConv2d] = ModulatedConv2d,
    ) -> None:
        super().__init__()
        self.conv = conv(in_channels, out_channels, 3, style_dim, up)
        self.bias = nn.Parameter(torch.zeros(out_channels))
        self.noise_strength = nn.Parameter(torch.zeros(())) if noise else None
        self.clamp: float | None = None

    def forward(self, x: Tensor, w: Tensor, noise: Tensor | None) -> Tensor:
        """Maps x (N, in, H, W) under style w (N, style_dim) and noise (N or 1, 1, H', W') to (N, out, H', W')."""
        x, demodulation = self.conv(x, w)
        x = x * (demodulation * GAIN)  # leaky ReLU is positively homogeneous: its gain is applied in front
        offset = (self.bias.view(1, -1, 1, 1) * GAIN).to(x.dtype)
        if self.noise_strength is not None and noise is not None:
            x = x.add_((noise * (self.noise_strength * GAIN)).to(x.dtype))
        return clamped(F.leaky_relu(x.add_(offset), SLOPE, inplace=True), self.clamp)


class ToRGB(nn.Module):
    """Modulated 1x1 convolution to image channels, not demodulated, added to the upsampled image so far.

    Args:
        in_channels: channels of the input.
        image_channels: 3 for RGB, 1 for grey.
        style_dim: width of w.
    """

    def __init__(self, in_channels: int, image_channels: int, style_dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(image_channels, in_channels, 1, 1))
        self.affine = EqualizedLinear(style_dim, in_channels, bias_init=1.0)
        self.bias = nn.Parameter(torch.zeros(image_channels))
        self.scale = 1 / math.sqrt(in_channels)
        self.clamp: float | None = None

    def forward(self, x: Tensor, w: Tensor, image: Tensor | None) -> Tensor:
        """Maps x (N, in, H, W) under style w and the image so far (N, C, H/2, W/2) to an image (N, C, H, W)."""
        style = self.affine(w) * self.scale
        x = conv2d(x * style[:, :, None, None].to(x.dtype), self.weight, self.bias)
        return added_colours(clamped(x, self.clamp), image)


@full_precision
def added_colours(x: Tensor, image: Tensor | None) -> Tensor:
    """``x`` (N, C, H, W) on top of the image so far (N, C, H/2, W/2), if there is one."""
    return x if image is None else x + upsample2(image)
