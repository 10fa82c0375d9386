"""Networks of PIONEER (Heljakka et al., 2018): a generator and an encoder that grow together, with unit codes between.

Phase p works at 4 * 2^p pixels. While a phase fades in, its newest block counts ``alpha``, the way around it the rest.
"""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from aestyle.errors import UserError
from aestyle.nets.layers import SLOPE, channels_last, pixel_norm, unit_norm
from aestyle.nets.spectral import SpectralConv2d, padded_convolution


class EqualizedConv2d(nn.Module):
    """Convolution with W ~ N(0, 1), scaled at run time by ``gain / sqrt(fan_in)``; the bias starts at 0.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: side of the kernel.
        padding: zeros on every side.
        gain: He's sqrt(2) in front of an activation, 1 without one.
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, padding: int, gain: float = math.sqrt(2)
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(channels_last(torch.randn(out_channels, in_channels, kernel_size, kernel_size)))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        self.scale = gain / math.sqrt(in_channels * kernel_size**2)
        self.padding = padding

    def forward(self, x: Tensor) -> Tensor:
        """Maps (N, in, H, W) to (N, out, H', W')."""
        return padded_convolution(x, self.weight * self.scale, self.bias, self.padding)


class Block(nn.Module):
    """Two convolutions, each followed by a leaky ReLU and perhaps a PixelNorm.

    Args:
        first: first convolution.
        second: second convolution.
        norm: PixelNorm ``before`` or ``after`` each leaky ReLU; None: none.
        activate_last: whether the second convolution is followed by a leaky ReLU too.
    """

    def __init__(
        self, first: nn.Module, second: nn.Module, norm: str | None = None, activate_last: bool = True
    ) -> None:
        super().__init__()
        self.first = first
        self.second = second
        self.norm = norm
        self.activate_last = activate_last

    def forward(self, x: Tensor) -> Tensor:
        """Maps (N, in, H, W) to (N, out, H', W')."""
        x = self.second(self._activated(self.first(x)))
        return self._activated(x) if self.activate_last else x

    def _activated(self, x: Tensor) -> Tensor:
        if self.norm == "before":
            x = pixel_norm(x)
        x = F.leaky_relu(x, SLOPE, inplace=True)
        return pixel_norm(x) if self.norm == "after" else x


NORMS: dict[str, tuple[type[EqualizedConv2d] | type[SpectralConv2d], str | None]] = {
    "pixel": (EqualizedConv2d, "before"),
    "spectral": (SpectralConv2d, None),
    "progan": (EqualizedConv2d, "after"),
}
"""What a generator's convolutions are, and where its PixelNorm stands."""


class Generator(nn.Module):
    """The generator: a code to an image of the phase's size, linear at the end.

    Args:
        resolution: side of the largest images.
        code_dim: length of a code.
        channels: width at each resolution from 4 on.
        image_channels: 1 for grey pictures, 3 for RGB.
        norm: ``pixel``: equalised learning rate and PixelNorm before each leaky ReLU (PIONEER);
            ``spectral``: spectral norm instead of both (Balanced PIONEER); ``progan``: PixelNorm of the code and after
            each leaky ReLU, and an equalised learning rate of the colours as well (Karras et al., 2018).

    Raises:
        UserError: there is no such ``norm``.
    """

    def __init__(
        self,
        resolution: int,
        code_dim: int,
        channels: Mapping[int, int],
        image_channels: int = 3,
        norm: str = "pixel",
    ) -> None:
        super().__init__()
        if norm not in NORMS:
            raise UserError(f"method.generator.norm={norm}: choose one of {', '.join(NORMS)}")
        conv, place = NORMS[norm]
        self.resolution = resolution
        self.code_dim = code_dim
        self.image_channels = image_channels
        widths = widths_of(resolution, channels)
        first = Block(conv(code_dim, widths[0], 4, 3), conv(widths[0], widths[0], 3, 1), place)
        grown = [Block(conv(below, width, 3, 1), conv(width, width, 3, 1), place) for below, width in pairwise(widths)]
        self.blocks = nn.ModuleList([first, *grown])
        self.scale_code = norm == "progan"
        if norm == "progan":
            colours: list[nn.Module] = [EqualizedConv2d(width, image_channels, 1, 0, gain=1) for width in widths]
        else:
            colours = [nn.Conv2d(width, image_channels, 1) for width in widths]
        self.to_rgb = nn.ModuleList(colours)

    def forward(self, z: Tensor, phase: int, alpha: float = 1.0) -> Tensor:
        """Images of unit codes.

        Args:
            z: (N, code_dim).
            phase: number of doublings from 4 pixels on.
            alpha: how much the newest block counts, in [0, 1].

        Returns:
            (N, image_channels, 4 * 2^phase, 4 * 2^phase), not clamped.
        """
        x = self.blocks[0]((pixel_norm(z) if self.scale_code else z)[:, :, None, None])
        below = x
        for block in self.blocks[1 : phase + 1]:
            below = F.interpolate(x, scale_factor=2, mode="nearest")
            x = block(below)
        image: Tensor = self.to_rgb[phase](x)
        return faded(image, self.to_rgb[phase - 1](below), alpha) if phase and alpha < 1 else image

    def code_weights(self) -> Tensor:
        """The weights that the code meets first, as a matrix (outputs, code_dim)."""
        return next(self.blocks.parameters()).permute(0, 2, 3, 1).flatten(0, 2)


class Shrinking(nn.Module):
    """From an image of the phase's size down to 4 pixels, while the newest block fades in.

    Args:
        blocks: for 4, 8, ... pixels; the first one is the subclass's.
        from_rgb: from colours to a block's channels, for 4, 8, ... pixels.
    """

    def __init__(self, blocks: Sequence[nn.Module], from_rgb: Sequence[nn.Module]) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.from_rgb = nn.ModuleList(from_rgb)

    def shrink(self, x: Tensor, phase: int, alpha: float = 1.0) -> Tensor:
        """Features (N, channels, 4, 4) of images (N, C, 4 * 2^phase, 4 * 2^phase)."""
        h: Tensor = self.from_rgb[phase](x)
        for level in range(phase, 0, -1):
            h = F.avg_pool2d(self.blocks[level](h), 2)
            if level == phase and alpha < 1:
                h = faded(h, self.from_rgb[phase - 1](F.avg_pool2d(x, 2)), alpha)
        return h


class Encoder(Shrinking):
    """The encoder: an image of the phase's size to a code on the unit sphere. Spectral norm throughout.

    Args:
        resolution: side of the largest images.
        code_dim: length of a code.
        channels: width at each resolution from 4 on.
        image_channels: 1 for grey pictures, 3 for RGB.
        activate_last: a leaky ReLU before the normalisation shrinks what is negative, as in the released code; Balanced
            PIONEER leaves it out.
        spectral: False leaves plain convolutions with an equalised learning rate, for the ablation.
    """

    def __init__(
        self,
        resolution: int,
        code_dim: int,
        channels: Mapping[int, int],
        image_channels: int = 3,
        activate_last: bool = True,
        spectral: bool = True,
    ) -> None:
        conv = SpectralConv2d if spectral else EqualizedConv2d
        widths = widths_of(resolution, channels)
        last = Block(conv(widths[0], widths[0], 3, 1), conv(widths[0], code_dim, 4, 0), activate_last=activate_last)
        grown = [Block(conv(width, below, 3, 1), conv(below, below, 3, 1)) for below, width in pairwise(widths)]
        super().__init__([last, *grown], [nn.Conv2d(image_channels, width, 1) for width in widths])

    def forward(self, x: Tensor, phase: int, alpha: float = 1.0) -> Tensor:
        """Unit codes (N, code_dim) of images (N, C, 4 * 2^phase, 4 * 2^phase); ``alpha`` as in :class:`Generator`."""
        return unit_norm(self.blocks[0](self.shrink(x, phase, alpha)).flatten(1))


def widths_of(resolution: int, channels: Mapping[int, int]) -> list[int]:
    """Channels at 4, 8, ..., ``resolution`` pixels."""
    return [channels[2**level] for level in range(2, int(math.log2(resolution)) + 1)]


def faded(new: Tensor, old: Tensor, alpha: float) -> Tensor:
    """``alpha * new + (1 - alpha) * old``."""
    return alpha * new + (1 - alpha) * old
