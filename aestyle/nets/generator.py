"""The StyleGAN2 generator: mapping network F from Z to W and synthesis network G from W to images."""

import math
from collections.abc import Callable, Sequence
from collections.abc import Mapping as MappingType

import torch
from torch import Tensor, nn

from aestyle.nets.layers import EqualizedLinear, pixel_norm
from aestyle.nets.modulation import ModulatedConv2d, StyledConv, ToRGB


def num_layers(resolution: int) -> int:
    """Number of style inputs of a synthesis network, ``2 log2(resolution) - 2``: 8 at 32 px, 12 at 128 px."""
    levels = math.log2(resolution)
    if levels != int(levels) or levels < 3:
        raise ValueError(f"resolution={resolution} is not a power of two of at least 8")
    return 2 * int(levels) - 2


class Mapping(nn.Module):
    """Mapping network F: PixelNorm, then ``depth`` equalised linear layers, each followed by a leaky ReLU.

    Args:
        style_dim: width of z and of w.
        depth: number of layers (8 in StyleGAN2, 2 in stylegan2-ada's ``auto``).
        lr_mul: learning rate of F relative to G.
    """

    def __init__(self, style_dim: int, depth: int = 8, lr_mul: float = 0.01) -> None:
        super().__init__()
        self.style_dim = style_dim
        self.layers = nn.Sequential(
            *(EqualizedLinear(style_dim, style_dim, lr_mul=lr_mul, activate=True) for _ in range(depth))
        )

    def forward(self, z: Tensor) -> Tensor:
        """Maps z (N, ..., style_dim) to w of the same shape, every vector for itself."""
        return self.layers(pixel_norm(z.flatten(0, -2))).view_as(z)


class Synthesis(nn.Module):
    """Synthesis network G with skip connections to RGB.

    Style i feeds convolution i; a ToRGB shares its style with the next level's up-convolution, so that
    ``2 log2(resolution) - 2`` styles serve all layers.

    Args:
        resolution: image size in pixels, a power of two of at least 8.
        style_dim: width of w.
        channels: feature channels at each resolution from 4 to ``resolution``.
        image_channels: 3 for RGB, 1 for grey.
        noise: whether layers have noise inputs.
        conv: makes the modulated convolutions.
        to_rgb: makes the ToRGB layers.
        clamp: bound of what convolutions give; None: none (stylegan2-ada: 256 in float16).
    """

    def __init__(
        self,
        resolution: int,
        style_dim: int,
        channels: MappingType[int, int],
        image_channels: int = 3,
        noise: bool = True,
        conv: Callable[..., ModulatedConv2d] = ModulatedConv2d,
        to_rgb: Callable[..., ToRGB] = ToRGB,
        clamp: float | None = None,
    ) -> None:
        super().__init__()
        self.resolution = resolution
        self.style_dim = style_dim
        self.image_channels = image_channels
        self.num_ws = num_layers(resolution)
        self.const = nn.Parameter(torch.randn(1, channels[4], 4, 4))
        self.convs = nn.ModuleList([StyledConv(channels[4], channels[4], style_dim, noise=noise, conv=conv)])
        self.to_rgbs = nn.ModuleList([to_rgb(channels[4], image_channels, style_dim)])
        self.noise_shapes: list[tuple[int, int, int]] = [(1, 4, 4)] if noise else []
        for level in range(3, int(math.log2(resolution)) + 1):
            size = 2**level
            width_in, width = channels[size // 2], channels[size]
            self.convs.append(StyledConv(width_in, width, style_dim, up=True, noise=noise, conv=conv))
            self.convs.append(StyledConv(width, width, style_dim, noise=noise, conv=conv))
            self.to_rgbs.append(to_rgb(width, image_channels, style_dim))
            self.noise_shapes += [(1, size, size)] * 2 if noise else []
        for layer in (*self.convs, *self.to_rgbs):
            layer.clamp = clamp
        for i, shape in enumerate(self.noise_shapes):
            self.register_buffer(f"noise_const_{i}", torch.randn(1, *shape))

    def forward(self, ws: Tensor, noise: Sequence[Tensor] | None = None) -> Tensor:
        """Draws images.

        Args:
            ws: styles (N, num_ws, style_dim), one per layer, or what the layers take in their place.
            noise: one (N, 1, h, w) tensor for each of ``noise_shapes``; the constant buffers if None.

        Returns:
            Images (N, image_channels, resolution, resolution), nominally in [-1, 1], not clamped.
        """
        noises: Sequence[Tensor | None] = noise or self.constant_noise() or [None] * len(self.convs)
        # A memory format set once at the input is kept by every layer that follows.
        x = self.const.expand(len(ws), -1, -1, -1).contiguous(memory_format=torch.channels_last)
        w = ws.unbind(dim=1)
        x = self.convs[0](x, w[0], noises[0])
        image = self.to_rgbs[0](x, w[1], None)
        for i in range(1, len(self.convs), 2):
            x = self.convs[i](x, w[i], noises[i])
            x = self.convs[i + 1](x, w[i + 1], noises[i + 1])
            image = self.to_rgbs[i // 2 + 1](x, w[i + 2], image)
        return image

    def constant_noise(self) -> list[Tensor]:
        """The noise buffers, each (1, 1, h, w): the same noise for every image."""
        return [self.get_buffer(f"noise_const_{i}") for i in range(len(self.noise_shapes))]

    def styled_layers(self) -> list[ModulatedConv2d | ToRGB]:
        """The layer that each of the ``num_ws`` styles feeds: the convolutions, then the last ToRGB."""
        convs = [conv.conv for conv in self.convs if isinstance(conv, StyledConv)]
        last = self.to_rgbs[-1]
        assert isinstance(last, ToRGB)
        return [*convs, last]

    @property
    def last_layer(self) -> list[nn.Parameter]:
        """Weights of the last ToRGB and the last convolution, "the last layer" of AE-StyleGAN's Equation 6."""
        to_rgb, conv = self.to_rgbs[-1], self.convs[-1]
        assert isinstance(to_rgb, ToRGB)
        assert isinstance(conv, StyledConv)
        return [to_rgb.weight, conv.conv.weight]


def style_per_layer(w: Tensor, num_ws: int) -> Tensor:
    """Repeats one style (N, ...) for every layer: (N, num_ws, ...)."""
    return w.unsqueeze(1).expand(-1, num_ws, *w.shape[1:])


def mix_styles(first: Tensor, second: Tensor, crossover: int) -> Tensor:
    """Layers below ``crossover`` from ``first``, the others from ``second``; both (N, num_ws, ...)."""
    layers = (*first.unbind(1)[:crossover], *second.unbind(1)[crossover:])
    return torch.stack(layers).transpose(0, 1)  # in the order of layers, each of which reads its own


def truncate(ws: Tensor, mean: Tensor, psi: float) -> Tensor:
    """Pulls styles toward the mean style: ``mean + psi * (ws - mean)`` (StyleGAN's truncation trick)."""
    return mean + psi * (ws - mean)
