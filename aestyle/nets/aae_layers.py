"""The kinds of layers that encoder and decoder of an adversarial autoencoder may be made of."""

from typing import Protocol

import torch
from torch import nn

from aestyle.nets.layers import SLOPE, EqualizedConv2d, EqualizedLinear


class Layers(Protocol):
    """A kind of layers."""

    def linear(self, in_features: int, out_features: int) -> nn.Module:
        """A linear layer."""
        ...

    def norm(self, features: int) -> list[nn.Module]:
        """What normalises (N, features) before an activation; empty without normalisation."""
        ...

    def conv(self, in_channels: int, out_channels: int) -> list[nn.Module]:
        """A 3x3 convolution of the same height and width, with its normalisation and activation."""
        ...

    def to_image(self, in_channels: int, image_channels: int) -> nn.Module:
        """A 3x3 convolution with nothing behind it."""
        ...


class Plain:
    """Layers as PyTorch initialises them, with batch normalisation."""

    def linear(self, in_features: int, out_features: int) -> nn.Module:
        """A linear layer."""
        return nn.Linear(in_features, out_features)

    def norm(self, features: int) -> list[nn.Module]:
        """Batch normalisation."""
        return [nn.BatchNorm1d(features)]

    def conv(self, in_channels: int, out_channels: int) -> list[nn.Module]:
        """Convolution, batch normalisation, leaky ReLU."""
        convolution = nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False)
        return [convolution.to(memory_format=torch.channels_last), nn.BatchNorm2d(out_channels), leaky()]

    def to_image(self, in_channels: int, image_channels: int) -> nn.Module:
        """Convolution."""
        return nn.Conv2d(in_channels, image_channels, 3, padding=1).to(memory_format=torch.channels_last)


class Equal:
    """Equalised layers in the place of batch normalisation (IAAE, section 5.4).

    Args:
        scale_bias: biases of linear layers are scaled as weights are, as printed; the code scales weights only.
        keep_norm: normalises between linear layers nonetheless.
    """

    def __init__(self, scale_bias: bool = True, keep_norm: bool = False) -> None:
        self.scale_bias = scale_bias
        self.keep_norm = keep_norm

    def linear(self, in_features: int, out_features: int) -> nn.Module:
        """``gamma W x + gamma b`` (or ``+ b``) with W ~ N(0, 1), b = 0 at the start and ``gamma = 1 / sqrt(in)``."""
        layer = EqualizedLinear(in_features, out_features)
        if self.scale_bias:
            layer.lr_mul = layer.scale  # which is the factor of the bias
        return layer

    def norm(self, features: int) -> list[nn.Module]:
        """Nothing, unless it is kept."""
        return [nn.BatchNorm1d(features)] if self.keep_norm else []

    def conv(self, in_channels: int, out_channels: int) -> list[nn.Module]:
        """Equalised convolution with the leaky ReLU that belongs to it."""
        return [EqualizedConv2d(in_channels, out_channels, 3)]

    def to_image(self, in_channels: int, image_channels: int) -> nn.Module:
        """Equalised convolution."""
        return EqualizedConv2d(in_channels, image_channels, 3, activate=False)


def leaky() -> nn.Module:
    """The activation of all these networks."""
    return nn.LeakyReLU(SLOPE, inplace=True)
