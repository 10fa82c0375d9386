"""The StyleGAN2 discriminator, and the image encoder that AE-StyleGAN makes of it."""

import math
from collections.abc import Mapping as MappingType
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from aestyle.nets.layers import EqualizedConv2d, EqualizedLinear
from aestyle.nets.precision import full_precision


@full_precision
def minibatch_stddev(x: Tensor, group_size: int = 4) -> Tensor:
    """Appends a channel with the standard deviation inside groups of samples (ProGAN, section 3).

    Groups are strided: sample j belongs to group ``j mod (N / group)``, so that interleaved shards of a batch that
    hold a multiple of 4 samples form the groups of the whole batch. The variance is the biased one.

    Args:
        x: (N, C, H, W).
        group_size: samples in a group; the largest divisor of N up to this is taken.

    Returns:
        (N, C + 1, H, W).
    """
    n, c, h, w = x.shape
    group = next(g for g in range(min(group_size, n), 0, -1) if n % g == 0)
    groups = x.reshape(group, n // group, c, h, w)
    variance = (groups - groups.mean(dim=0)).square().mean(dim=0)  # sooner done than var()
    deviation = (variance + 1e-8).sqrt().mean(dim=(1, 2, 3))
    return torch.cat([x, deviation.repeat(group).view(n, 1, 1, 1).expand(n, 1, h, w)], dim=1)


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions, the second one halving the size, and a 1x1 shortcut; their sum over sqrt(2).

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        residual: whether the shortcut exists.
    """

    def __init__(self, in_channels: int, out_channels: int, residual: bool = True) -> None:
        super().__init__()
        self.conv1 = EqualizedConv2d(in_channels, in_channels, 3)
        self.conv2 = EqualizedConv2d(in_channels, out_channels, 3, down=True)
        self.skip = EqualizedConv2d(in_channels, out_channels, 1, down=True, activate=False) if residual else None

    def forward(self, x: Tensor) -> Tensor:
        """Maps (N, in, H, W) to (N, out, H/2, W/2)."""
        y = self.conv2(self.conv1(x))
        return y if self.skip is None else (y + self.skip(x)) * (1 / math.sqrt(2))


class Trunk(nn.Sequential):
    """From images (N, C, R, R) to features (N, channels[4], 4, 4): what discriminator and encoder share.

    Args:
        resolution: image size in pixels, a power of two of at least 8.
        channels: feature channels at each resolution from 4 to ``resolution``.
        image_channels: 3 for RGB, 1 for grey.
        residual: whether blocks have shortcuts.
    """

    def __init__(
        self, resolution: int, channels: MappingType[int, int], image_channels: int = 3, residual: bool = True
    ) -> None:
        sizes = [2**level for level in range(int(math.log2(resolution)), 2, -1)]
        super().__init__(
            EqualizedConv2d(image_channels, channels[resolution], 1),
            *(ResidualBlock(channels[size], channels[size // 2], residual) for size in sizes),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Maps images (N, C, R, R) in [-1, 1] to features (N, channels[4], 4, 4)."""
        return super().forward(x.contiguous(memory_format=torch.channels_last))


class Discriminator(nn.Module):
    """StyleGAN2 discriminator D: residual trunk, minibatch standard deviation, one convolution, two linear layers.

    Args:
        resolution: image size in pixels.
        channels: feature channels at each resolution.
        image_channels: 3 for RGB, 1 for grey.
        stddev_group: samples in a group of the minibatch standard deviation; 1 leaves that layer out.
        residual: whether blocks have shortcuts.
        outputs: width of the last layer; 1 logit for a discriminator.
        clamp: bound of what convolutions give; None: none (stylegan2-ada: 256 in float16).
    """

    def __init__(
        self,
        resolution: int,
        channels: MappingType[int, int],
        image_channels: int = 3,
        stddev_group: int = 4,
        residual: bool = True,
        outputs: int = 1,
        clamp: float | None = None,
    ) -> None:
        super().__init__()
        width = channels[4]
        self.stddev_group = stddev_group
        self.trunk = Trunk(resolution, channels, image_channels, residual)
        self.conv = EqualizedConv2d(width + (stddev_group > 1), width, 3)
        self.hidden = EqualizedLinear(width * 4 * 4, width, activate=True)
        self.head = EqualizedLinear(width, outputs)
        for module in self.modules():
            if isinstance(module, EqualizedConv2d):
                module.clamp = clamp

    def forward(self, x: Tensor, sizes: Sequence[int] | None = None) -> Tensor:
        """Maps images (N, C, R, R) in [-1, 1] to logits (N, outputs).

        Args:
            x: images.
            sizes: of the batches that ``x`` is put together from; minibatch statistics stay within a batch.
        """
        x = self.trunk(x)
        if self.stddev_group > 1:
            x = torch.cat([minibatch_stddev(part, self.stddev_group) for part in x.split(sizes or len(x))])
        # flatten() orders features by channel, then by position, whatever the memory format
        logits: Tensor = self.head(self.hidden(self.conv(x).flatten(1)))
        return logits

    def together(self, *batches: Tensor) -> list[Tensor]:
        """Logits of several batches in one pass, which is faster than one pass each and gives the same numbers.

        Args:
            *batches: images (N, C, R, R) in [-1, 1], every N its own.

        Returns:
            Logits (N, outputs) of each batch.
        """
        sizes = [len(batch) for batch in batches]
        logits: Tensor = self(torch.cat(batches) if len(batches) > 1 else batches[0], sizes)
        return list(logits.split(sizes))


class Encoder(Discriminator):
    """Image encoder E of AE-StyleGAN: the discriminator with another last layer and no minibatch statistics.

    Args:
        resolution: image size in pixels.
        channels: feature channels at each resolution.
        style_dim: width of w.
        num_codes: styles per image: 1 encodes into W, the number of layers into W+.
        image_channels: 3 for RGB, 1 for grey.
        residual: whether blocks have shortcuts.
        clamp: as of :class:`Discriminator`.
    """

    def __init__(
        self,
        resolution: int,
        channels: MappingType[int, int],
        style_dim: int,
        num_codes: int,
        image_channels: int = 3,
        residual: bool = True,
        clamp: float | None = None,
    ) -> None:
        super().__init__(resolution, channels, image_channels, 1, residual, num_codes * style_dim, clamp)
        self.num_codes = num_codes
        self.style_dim = style_dim

    @property
    def code_shape(self) -> tuple[int, ...]:
        """One code, without the batch: (style_dim,) in W, (num_codes, style_dim) in W+."""
        return (self.style_dim,) if self.num_codes == 1 else (self.num_codes, self.style_dim)

    def forward(self, x: Tensor, sizes: Sequence[int] | None = None) -> Tensor:
        """Maps images (N, C, R, R) in [-1, 1] to codes (N, num_codes, style_dim), one by one."""
        return super().forward(x).unflatten(1, (self.num_codes, -1))
