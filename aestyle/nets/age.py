"""Networks of AGE (Ulyanov et al., 2018): those of DCGAN, with unit codes between."""

import math
from itertools import pairwise

import torch
from torch import Tensor, nn

from aestyle.nets.layers import SLOPE, unit_norm


class Generator(nn.Module):
    """A code to an image: transposed convolutions with batch normalisation and ReLU, tanh at the end.

    Args:
        resolution: side of the images.
        code_dim: length of a code (64 at 64 px, 128 at 32 px, 512 at 128 px).
        width: least number of channels (64).
        image_channels: 1 for grey pictures, 3 for RGB.
        small: the network for CIFAR-10, whose colours come from a 1 x 1 convolution at full size; else the one for
            CelebA, whose last doubling makes the colours.
    """

    def __init__(
        self, resolution: int, code_dim: int, width: int = 64, image_channels: int = 3, small: bool = False
    ) -> None:
        super().__init__()
        self.resolution = resolution
        self.code_dim = code_dim
        self.image_channels = image_channels
        widths = widths_of(resolution, width)[::-1]
        if small:
            widths = [*(2 * channels for channels in widths), 2 * width]
        layers: list[nn.Module] = [nn.ConvTranspose2d(code_dim, widths[0], 4, bias=False), nn.BatchNorm2d(widths[0])]
        for below, above in pairwise(widths):
            layers += [
                nn.ReLU(inplace=True),
                nn.ConvTranspose2d(below, above, 4, 2, 1, bias=False),
                nn.BatchNorm2d(above),
            ]
        if small:
            last: nn.Module = nn.Conv2d(widths[-1], image_channels, 1)
        else:
            last = nn.ConvTranspose2d(widths[-1], image_channels, 4, 2, 1)
        self.layers = nn.Sequential(*layers, nn.ReLU(inplace=True), last, nn.Tanh())
        initialize(self)

    def forward(self, z: Tensor) -> Tensor:
        """Codes (N, code_dim) to images (N, image_channels, resolution, resolution) in (-1, 1)."""
        image: Tensor = self.layers(z[:, :, None, None])
        return image

    def code_weights(self) -> Tensor:
        """The weights that the code meets first, as a matrix (outputs, code_dim)."""
        return next(self.layers.parameters()).flatten(1).t()


class Encoder(nn.Module):
    """An image to a code on the unit sphere: strided convolutions with batch normalisation and leaky ReLU.

    Args:
        resolution: side of the images.
        code_dim: length of a code.
        width: channels of the first layer (64).
        image_channels: 1 for grey pictures, 3 for RGB.
        small: the network for CIFAR-10, which averages four codes at the end.
    """

    def __init__(
        self, resolution: int, code_dim: int, width: int = 64, image_channels: int = 3, small: bool = False
    ) -> None:
        super().__init__()
        widths = widths_of(resolution, width)
        layers: list[nn.Module] = [nn.Conv2d(image_channels, widths[0], 4, 2, 1), nn.LeakyReLU(SLOPE, inplace=True)]
        for below, above in pairwise(widths):
            layers += [nn.Conv2d(below, above, 4, 2, 1, bias=False), nn.BatchNorm2d(above)]
            layers += [nn.LeakyReLU(SLOPE, inplace=True)]
        if small:
            layers += [nn.Conv2d(widths[-1], code_dim, 4, 2, 1), nn.AvgPool2d(2)]
        else:
            layers += [nn.Conv2d(widths[-1], code_dim, 4)]
        self.layers = nn.Sequential(*layers)
        initialize(self)

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, image_channels, resolution, resolution) in [-1, 1] to unit codes (N, code_dim)."""
        return unit_norm(self.layers(x).flatten(1))


def widths_of(resolution: int, width: int) -> list[int]:
    """The encoder's channels at half the resolution, a quarter of it, ..., 4 pixels."""
    return [min(2**level, 8) * width for level in range(int(math.log2(resolution)) - 2)]


def initialize(network: nn.Module) -> None:
    """DCGAN's start: convolutions from N(0, 0.02^2), normalisation's weights from N(1, 0.02^2), biases 0."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, 0.0, 0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
            module.to(memory_format=torch.channels_last)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1.0, 0.02)
