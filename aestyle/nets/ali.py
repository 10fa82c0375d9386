"""Networks of adversarially learned inference (Dumoulin et al., 2017): encoder, decoder, discriminator of pairs."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from aestyle.errors import UserError
from aestyle.nets.aae import GaussianEncoder, MappedDecoder
from aestyle.nets.aae_layers import Plain
from aestyle.nets.posterior import Exponential

SLOPE = 0.02
"""Negative slope of every leaky ReLU."""

Layout = tuple[tuple[int, int, int, int], ...]
"""Of each convolution: kernel, stride, padding, and what the width is divided by to give its channels."""

LAYOUTS: dict[int, Layout] = {
    8: ((3, 1, 0, 2), (3, 1, 0, 1)),
    16: ((3, 1, 0, 4), (4, 2, 0, 2), (3, 1, 0, 1)),
    32: ((5, 1, 0, 16), (4, 2, 0, 8), (4, 1, 0, 4), (4, 2, 0, 2)),
    64: ((2, 1, 0, 8), (7, 2, 0, 4), (5, 2, 0, 2), (7, 2, 0, 2)),
}
"""From an image to 4 pixels: the paper's networks for CelebA (64 px) and CIFAR-10 (32 px), and smaller ones."""


def layout_of(resolution: int) -> Layout:
    """The convolutions from an image to one pixel; above 64 px, halvings come first.

    Raises:
        UserError: no layout ends there.
    """
    if resolution in LAYOUTS:
        return (*LAYOUTS[resolution], (4, 1, 0, 1))
    if resolution > 64 and resolution % 2 == 0:
        return ((4, 2, 1, 8), *layout_of(resolution // 2))
    raise UserError(f"resolution={resolution} is not a power of two of at least 8: choose 32, 64, 128, ...")


def body(resolution: int, width: int, image_channels: int, first_norm: bool = True) -> nn.Sequential:
    """Images (N, C, R, R) to features (N, width): convolutions with batch normalisation and leaky ReLU.

    Args:
        resolution: side of the images.
        width: channels of the last convolution.
        image_channels: 1 for grey pictures, 3 for RGB.
        first_norm: whether the first convolution is normalised too.
    """
    layers: list[nn.Module] = []
    before = image_channels
    for kernel, stride, padding, share in layout_of(resolution):
        after = max(1, width // share)
        norm = first_norm or bool(layers)
        layers.append(nn.Conv2d(before, after, kernel, stride, padding, bias=not norm))
        layers += [nn.BatchNorm2d(after), leaky()] if norm else [leaky()]
        before = after
    return nn.Sequential(*layers, nn.Flatten())


class Encoder(GaussianEncoder):
    """An image to the posterior of its code.

    Args:
        resolution: side of the images.
        latent_dim: length of a code.
        width: channels of the last convolution (512).
        image_channels: 1 for grey pictures, 3 for RGB.
    """

    def __init__(self, resolution: int, latent_dim: int, width: int = 512, image_channels: int = 3) -> None:
        super().__init__(body(resolution, width, image_channels), width, latent_dim, Plain(), Exponential())
        initialize(self)


class Decoder(MappedDecoder):
    """A code to an image: the encoder's convolutions backwards, transposed.

    Args:
        resolution: side of the images.
        latent_dim: length of a code.
        width: channels of the first convolution (512).
        image_channels: 1 for grey pictures, 3 for RGB.
    """

    def __init__(self, resolution: int, latent_dim: int, width: int = 512, image_channels: int = 3) -> None:
        layers: list[nn.Module] = [nn.Unflatten(1, (latent_dim, 1, 1))]
        before = latent_dim
        for kernel, stride, padding, share in reversed(layout_of(resolution)):
            after = max(1, width // share)
            layers.append(nn.ConvTranspose2d(before, after, kernel, stride, padding, bias=False))
            layers += [nn.BatchNorm2d(after), leaky()]
            before = after
        image = nn.Sequential(*layers, nn.Conv2d(before, image_channels, 1), nn.Tanh())
        super().__init__(image, resolution, image_channels, latent_dim, Plain(), mapping_depth=0)
        initialize(self)


class PairDiscriminator(nn.Module):
    """Tells pairs of an image and its code from pairs of a code and its image.

    Args:
        resolution: side of the images.
        latent_dim: length of a code.
        width: length of the image's features (512); other layers are twice and four times as wide.
        image_channels: 1 for grey pictures, 3 for RGB.
        dropout: probability that an input of a linear layer is left out.

    Raises:
        UserError: ``dropout`` is no probability, or 1.
    """

    def __init__(
        self, resolution: int, latent_dim: int, width: int = 512, image_channels: int = 3, dropout: float = 0.2
    ) -> None:
        super().__init__()
        if not 0 <= dropout < 1:
            raise UserError(f"method.discriminator.dropout={dropout}: give a number of at least 0 and below 1")
        self.dropout = dropout
        self.image = body(resolution, width, image_channels, first_norm=False)
        self.code = nn.ModuleList([nn.Linear(latent_dim, 2 * width), nn.Linear(2 * width, 2 * width)])
        self.pair = nn.ModuleList([nn.Linear(3 * width, 4 * width), nn.Linear(4 * width, 4 * width)])
        self.head = nn.Linear(4 * width, 1)
        self.linear_inputs = [layer.in_features for layer in (*self.code, *self.pair, self.head)]
        initialize(self)

    def forward(self, x: Tensor, z: Tensor, keep: Tensor) -> Tensor:
        """Logits (N, 1) of pairs.

        Args:
            x: images (N, C, R, R) in [-1, 1].
            z: codes (N, latent_dim).
            keep: bool (N, sum of ``linear_inputs``): the inputs of linear layers that are not left out.
        """
        masks = iter(keep.split(self.linear_inputs, dim=1))
        h = torch.cat([self.image(x), self._hidden(self.code, z, masks)], dim=1)
        logits: Tensor = self.head(self._kept(self._hidden(self.pair, h, masks), next(masks)))
        return logits

    def _hidden(self, layers: nn.ModuleList, h: Tensor, masks: Iterator[Tensor]) -> Tensor:
        for layer in layers:
            h = F.leaky_relu(layer(self._kept(h, next(masks))), SLOPE)
        return h

    def _kept(self, h: Tensor, mask: Tensor) -> Tensor:
        return h * mask / (1 - self.dropout)


def leaky() -> nn.Module:
    """The activation of all these networks."""
    return nn.LeakyReLU(SLOPE, inplace=True)


def initialize(network: nn.Module) -> None:
    """The paper's start: weights from N(0, 0.01^2), biases 0; normalisation as PyTorch starts it."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.normal_(module.weight, 0.0, 0.01)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
            module.to(memory_format=torch.channels_last)
