"""The discriminator of progressive GANs (Karras et al., 2018), which can be taken for an encoder."""

from collections.abc import Mapping
from itertools import pairwise

import torch
from torch import Tensor, nn

from aestyle.nets.discriminator import minibatch_stddev
from aestyle.nets.layers import SLOPE, EqualizedLinear, unit_norm
from aestyle.nets.pioneer import Block, EqualizedConv2d, Shrinking, widths_of


class Critic(Shrinking):
    """A discriminator whose last hidden layer is as long as a code, so that it can serve as one.

    Equalised learning rate throughout. The channel of the minibatch's standard deviation is 0 where an image is
    encoded: a code belongs to one image.

    Args:
        resolution: side of the largest images.
        code_dim: length of a code.
        channels: width at each resolution from 4 on.
        image_channels: 1 for grey pictures, 3 for RGB.
        code_layer: a fully connected layer of its own between the hidden layer and the code, which PIONEER's authors
            tried as well.
    """

    def __init__(
        self,
        resolution: int,
        code_dim: int,
        channels: Mapping[int, int],
        image_channels: int = 3,
        code_layer: bool = False,
    ) -> None:
        widths = widths_of(resolution, channels)
        last = Block(EqualizedConv2d(widths[0] + 1, widths[0], 3, 1), EqualizedConv2d(widths[0], code_dim, 4, 0))
        grown = [
            Block(EqualizedConv2d(width, width, 3, 1), EqualizedConv2d(width, below, 3, 1))
            for below, width in pairwise(widths)
        ]
        from_rgb = [
            nn.Sequential(EqualizedConv2d(image_channels, width, 1, 0), nn.LeakyReLU(SLOPE)) for width in widths
        ]
        super().__init__([last, *grown], from_rgb)
        self.head = EqualizedLinear(code_dim, 1)
        self.code_layer = EqualizedLinear(code_dim, code_dim) if code_layer else nn.Identity()

    def logits(self, x: Tensor, phase: int, alpha: float = 1.0) -> Tensor:
        """How real images (N, C, 4 * 2^phase, 4 * 2^phase) look: (N, 1), any number."""
        logits: Tensor = self(x, phase, alpha, judge=True)
        return logits

    def forward(self, x: Tensor, phase: int, alpha: float = 1.0, judge: bool = False) -> Tensor:
        """Unit codes (N, code_dim) of images (N, C, 4 * 2^phase, 4 * 2^phase), or what :meth:`logits` gives."""
        h = self.shrink(x, phase, alpha)
        h = minibatch_stddev(h) if judge else torch.cat([h, h.new_zeros(len(h), 1, *h.shape[2:])], dim=1)
        hidden = self.blocks[0](h).flatten(1)
        return self.head(hidden) if judge else unit_norm(self.code_layer(hidden))
