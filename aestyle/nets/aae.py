"""Encoder, decoder and latent discriminator of the adversarial autoencoder, as the authors of IAAE built them.

The paper (Yang et al., 2021) leaves the architecture open; widths, activations and normalisation are those of its code.
"""

import math
from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from aestyle.errors import UserError
from aestyle.nets.aae_layers import Layers, Plain, leaky
from aestyle.nets.layers import SLOPE
from aestyle.nets.posterior import Linear, Posterior, Sigma
from aestyle.nets.precision import full_precision

HIDDEN = (128, 64)
"""Widths between image and code."""


class GaussianEncoder(nn.Module):
    """An encoder with two heads, for mu and sigma.

    Args:
        body: from images to (N, width).
        width: width of the body's output.
        latent_dim: dimensions of the code.
        layers: kind of layers.
        sigma: makes sigma out of its head's output.
    """

    def __init__(self, body: nn.Module, width: int, latent_dim: int, layers: Layers, sigma: Sigma | None) -> None:
        super().__init__()
        self.latent_dim = latent_dim
        self.body = body
        self.mu = layers.linear(width, latent_dim)
        self.sigma = layers.linear(width, latent_dim)
        self.form = sigma or Linear()

    def forward(self, x: Tensor) -> Posterior:
        """Maps images (N, C, R, R) in [-1, 1] to the posterior of their codes."""
        return self._heads(self.body(x))

    @full_precision
    def _heads(self, features: Tensor) -> Posterior:
        return Posterior(self.mu(features), self.form(self.sigma(features)))


class Encoder(GaussianEncoder):
    """Two hidden layers from all pixels to the posterior of a code.

    Args:
        resolution: image size in pixels.
        image_channels: 3 for RGB, 1 for grey.
        latent_dim: dimensions of the code.
        layers: kind of layers; the default is :class:`Plain`.
        sigma: makes sigma out of its head's output; the default is :class:`~aestyle.nets.posterior.Linear`.
    """

    def __init__(
        self,
        resolution: int,
        image_channels: int = 3,
        latent_dim: int = 10,
        layers: Layers | None = None,
        sigma: Sigma | None = None,
    ) -> None:
        layers = layers or Plain()
        first, second = HIDDEN
        body = nn.Sequential(
            nn.Flatten(),
            layers.linear(image_channels * resolution**2, first),
            leaky(),
            layers.linear(first, second),
            *layers.norm(second),
            leaky(),
        )
        super().__init__(body, second, latent_dim, layers, sigma)


class MappedDecoder(nn.Module):
    """A decoder with a mapping network in front of it: latent mapping (IAAE, section 5.1).

    Args:
        body: from codes (N, latent_dim) to images.
        resolution: size of the images.
        image_channels: their channels.
        latent_dim: dimensions of the code.
        layers: kind of layers of the mapping.
        mapping_depth: layers of the mapping, each as wide as the code; 0 leaves it out. The paper does not say how
            many it found best; its code has 4.
    """

    def __init__(
        self, body: nn.Module, resolution: int, image_channels: int, latent_dim: int, layers: Layers, mapping_depth: int
    ) -> None:
        super().__init__()
        self.resolution = resolution
        self.image_channels = image_channels
        self.latent_dim = latent_dim
        pairs = [(layers.linear(latent_dim, latent_dim), leaky()) for _ in range(mapping_depth)]
        self.mapping = nn.Sequential(*(module for pair in pairs for module in pair))
        self.body = body

    def forward(self, z: Tensor) -> Tensor:
        """Maps codes (N, latent_dim) to images (N, C, R, R) in [-1, 1]."""
        return self.body(self.mapping(z))


class Decoder(MappedDecoder):
    """Two hidden layers from a code to all pixels.

    Args:
        resolution: image size in pixels.
        image_channels: 3 for RGB, 1 for grey.
        latent_dim: dimensions of the code.
        layers: kind of layers; the default is :class:`Plain`.
        mapping_depth: layers of the mapping in front; 0 leaves it out.
    """

    def __init__(
        self,
        resolution: int,
        image_channels: int = 3,
        latent_dim: int = 10,
        layers: Layers | None = None,
        mapping_depth: int = 0,
    ) -> None:
        layers = layers or Plain()
        second, first = HIDDEN
        shape = (image_channels, resolution, resolution)
        body = nn.Sequential(
            layers.linear(latent_dim, first),
            leaky(),
            layers.linear(first, second),
            *layers.norm(second),
            leaky(),
            layers.linear(second, math.prod(shape)),
            nn.Tanh(),
            nn.Unflatten(1, shape),
        )
        super().__init__(body, resolution, image_channels, latent_dim, layers, mapping_depth)


class CodeDiscriminator(nn.Module):
    """Tells codes of the prior from codes of images: four hidden layers with dropout.

    Args:
        latent_dim: dimensions of the code.
        dropout: probability that a hidden value is left out.
        widths: widths of the hidden layers.

    Raises:
        UserError: ``dropout`` is no probability, or 1.
    """

    def __init__(self, latent_dim: int = 10, dropout: float = 0.3, widths: Sequence[int] = (64, 128, 128, 64)) -> None:
        super().__init__()
        if not 0 <= dropout < 1:
            raise UserError(f"method.discriminator.dropout={dropout}: give a number of at least 0 and below 1")
        self.dropout = dropout
        self.widths = tuple(widths)
        self.hidden = nn.ModuleList(nn.Linear(a, b) for a, b in zip((latent_dim, *widths), widths, strict=False))
        self.head = nn.Linear(self.widths[-1], 1)

    def forward(self, z: Tensor, keep: Tensor | None = None) -> Tensor:
        """Maps codes (N, latent_dim) to logits (N, 1).

        Args:
            z: codes.
            keep: bool (N, sum of widths), the hidden values that are not left out, layer by layer; None keeps all.
        """
        masks = [None] * len(self.widths) if keep is None else keep.split(self.widths, dim=1)
        for layer, mask in zip(self.hidden, masks, strict=True):
            z = F.leaky_relu(layer(z), SLOPE, inplace=True)
            if mask is not None:
                z = z * mask / (1 - self.dropout)
        return self.head(z)
