"""Convolutional networks for adversarial autoencoders, for small pictures, and the image discriminator of VAE-GAN."""

import math
from collections.abc import Mapping

from torch import Tensor, nn

from aestyle.nets.aae import GaussianEncoder, MappedDecoder
from aestyle.nets.aae_layers import Layers, Plain
from aestyle.nets.posterior import Sigma


def shrinking(resolution: int, channels: Mapping[int, int], image_channels: int, layers: Layers) -> nn.Sequential:
    """A convolution at each resolution down to 4, halved by averaging between: images to (N, channels[4], 4, 4)."""
    sizes = [2**level for level in range(int(math.log2(resolution)), 2, -1)]
    blocks = [layers.conv(image_channels, channels[resolution])]
    blocks += [[nn.AvgPool2d(2), *layers.conv(channels[size], channels[size // 2])] for size in sizes]
    return nn.Sequential(*(layer for block in blocks for layer in block))


class ConvEncoder(GaussianEncoder):
    """Convolutions down to 4x4, then the heads.

    Args:
        resolution: image size in pixels, a power of two of at least 8.
        channels: feature channels at each resolution from 4 to ``resolution``.
        image_channels: 3 for RGB, 1 for grey.
        latent_dim: dimensions of the code.
        layers: kind of layers; the default is :class:`~aestyle.nets.aae_layers.Plain`.
        sigma: makes sigma out of its head's output; the default is :class:`~aestyle.nets.posterior.Linear`.
    """

    def __init__(
        self,
        resolution: int,
        channels: Mapping[int, int],
        image_channels: int = 3,
        latent_dim: int = 10,
        layers: Layers | None = None,
        sigma: Sigma | None = None,
    ) -> None:
        layers = layers or Plain()
        body = nn.Sequential(shrinking(resolution, channels, image_channels, layers), nn.Flatten())
        super().__init__(body, 16 * channels[4], latent_dim, layers, sigma)


class ConvDecoder(MappedDecoder):
    """From a code to 4x4, then a convolution at each resolution, doubled by repeating pixels between.

    Args:
        resolution: image size in pixels, a power of two of at least 8.
        channels: feature channels at each resolution from 4 to ``resolution``.
        image_channels: 3 for RGB, 1 for grey.
        latent_dim: dimensions of the code.
        layers: kind of layers; the default is :class:`~aestyle.nets.aae_layers.Plain`.
        mapping_depth: layers of the mapping in front; 0 leaves it out.
    """

    def __init__(
        self,
        resolution: int,
        channels: Mapping[int, int],
        image_channels: int = 3,
        latent_dim: int = 10,
        layers: Layers | None = None,
        mapping_depth: int = 0,
    ) -> None:
        layers = layers or Plain()
        sizes = [2**level for level in range(3, int(math.log2(resolution)) + 1)]
        blocks = [[nn.Upsample(scale_factor=2), *layers.conv(channels[size // 2], channels[size])] for size in sizes]
        body = nn.Sequential(
            layers.linear(latent_dim, 16 * channels[4]),
            nn.Unflatten(1, (channels[4], 4, 4)),
            *(layer for block in blocks for layer in block),
            layers.to_image(channels[resolution], image_channels),
            nn.Tanh(),
        )
        super().__init__(body, resolution, image_channels, latent_dim, layers, mapping_depth)


class FeatureDiscriminator(nn.Module):
    """An image discriminator whose inner features measure how alike two images are (Larsen et al., 2016).

    Args:
        resolution: image size in pixels, a power of two of at least 8.
        channels: feature channels at each resolution from 4 to ``resolution``.
        image_channels: 3 for RGB, 1 for grey.
        layers: kind of layers; the default is :class:`~aestyle.nets.aae_layers.Plain`.
    """

    def __init__(
        self, resolution: int, channels: Mapping[int, int], image_channels: int = 3, layers: Layers | None = None
    ) -> None:
        super().__init__()
        layers = layers or Plain()
        self.body = shrinking(resolution, channels, image_channels, layers)
        self.head = nn.Sequential(nn.Flatten(), layers.linear(16 * channels[4], 1))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Maps images (N, C, R, R) in [-1, 1] to logits (N, 1) and features (N, channels[4], 4, 4)."""
        features = self.body(x)
        return self.head(features), features
