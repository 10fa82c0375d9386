"""Layers with an equalised learning rate: weights of unit variance, scaled at run time (Karras et al., 2018).

The scale is folded into operations that run anyway (``addmm``, the bias addition), so that it costs no pass over the
weights. Leaky ReLU is positively homogeneous, so its gain of sqrt(2) moves in front of it into the same factors.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from aestyle.nets.convolution import conv2d
from aestyle.nets.precision import full_precision
from aestyle.nets.resample import blur

SLOPE = 0.2
"""Negative slope of every leaky ReLU in the StyleGAN family."""
GAIN = math.sqrt(2)
"""Keeps the variance through a leaky ReLU."""


def channels_last(weight: Tensor) -> Tensor:
    """A convolution's weight in the order of memory that is the fastest; what the convolution gives then has it too."""
    return weight.contiguous(memory_format=torch.channels_last)


@full_precision
def pixel_norm(x: Tensor) -> Tensor:
    """Scales each vector along dimension 1 to unit mean square: ``x * rsqrt(mean(x^2) + 1e-8)``."""
    return x * torch.rsqrt(x.square().mean(dim=1, keepdim=True) + 1e-8)


@full_precision
def unit_norm(x: Tensor) -> Tensor:
    """Scales each vector along dimension 1 to unit length."""
    return F.normalize(x, dim=1)


def scaled_leaky_relu(x: Tensor, bias: Tensor, scale: float = 1.0) -> Tensor:
    """``sqrt(2) * leaky_relu(scale * x + bias)`` on (N, C, H, W) with one bias a channel, in two passes over ``x``."""
    x = torch.add((bias.view(1, -1, 1, 1) * GAIN).to(x.dtype), x, alpha=scale * GAIN)
    return F.leaky_relu(x, SLOPE, inplace=True)


def clamped(x: Tensor, limit: float | None) -> Tensor:
    """``x`` within [-limit, limit], as it is if there is none; keeps activations in float16's range (Karras et al.)."""
    return x if limit is None else x.clamp(-limit, limit)


class EqualizedLinear(nn.Module):
    """Linear layer ``scale * W x + lr_mul * b`` with W ~ N(0, 1) / lr_mul and scale = lr_mul / sqrt(in).

    Args:
        in_features: width of the input.
        out_features: width of the output.
        bias_init: the bias at the start (before ``lr_mul``).
        lr_mul: learning rate of this layer relative to the others.
        activate: whether a leaky ReLU with gain sqrt(2) follows.
    """

    def __init__(
        self, in_features: int, out_features: int, bias_init: float = 0.0, lr_mul: float = 1.0, activate: bool = False
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_features, in_features) / lr_mul)
        self.bias = nn.Parameter(torch.full((out_features,), float(bias_init)))
        self.scale = lr_mul / math.sqrt(in_features)
        self.lr_mul = lr_mul
        self.activate = activate

    @full_precision
    def forward(self, x: Tensor) -> Tensor:
        """Maps (N, in_features) to (N, out_features)."""
        gain = GAIN if self.activate else 1.0
        x = torch.addmm(self.bias, x, self.weight.t(), beta=self.lr_mul * gain, alpha=self.scale * gain)
        return F.leaky_relu(x, SLOPE, inplace=True) if self.activate else x

    def scaled(self, gain: float) -> tuple[Tensor, Tensor]:
        """What the product is made with, times ``gain``: for more vectors than weights, which cost less to scale.

        Returns:
            Weight (out_features, in_features) and bias (out_features,).
        """
        return self.weight * (self.scale * gain), self.bias * (self.lr_mul * gain)


class EqualizedConv2d(nn.Module):
    """Convolution ``scale * (W * x) [+ b, leaky ReLU]`` with W ~ N(0, 1) and scale = 1 / sqrt(in * k^2).

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: odd side of the kernel; height and width are kept unless ``down``.
        down: blur and halve height and width.
        activate: whether bias and leaky ReLU with gain sqrt(2) follow (without them there is no bias either).
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, down: bool = False, activate: bool = True
    ) -> None:
        super().__init__()
        weight = torch.randn(out_channels, in_channels, kernel_size, kernel_size)
        self.weight = nn.Parameter(channels_last(weight))
        self.bias = nn.Parameter(torch.zeros(out_channels)) if activate else None
        self.scale = 1 / math.sqrt(in_channels * kernel_size**2)
        self.down = down
        self.clamp: float | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Maps (N, in, H, W) to (N, out, H, W), or to half the size if ``down``."""
        kernel_size = self.weight.shape[-1]
        if not self.down:
            x = conv2d(x, self.weight, padding=kernel_size // 2)
        elif kernel_size == 1:  # only every second pixel is read: blur no others
            x = conv2d(blur(x, padding=1, stride=2), self.weight)
        else:
            x = conv2d(blur(x, padding=2), self.weight, stride=2)
        return clamped(x * self.scale if self.bias is None else scaled_leaky_relu(x, self.bias, self.scale), self.clamp)
