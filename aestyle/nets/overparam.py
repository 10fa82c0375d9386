"""Networks of overparameterised StyleGAN (Poirier-Ginter et al., 2022): every row of a layer's weights has a style."""

import math
from collections.abc import Mapping as MappingType
from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from aestyle.errors import UserError
from aestyle.nets.discriminator import Encoder
from aestyle.nets.generator import Synthesis
from aestyle.nets.layers import clamped
from aestyle.nets.modulation import ModulatedConv2d, ToRGB, added_colours
from aestyle.nets.precision import full_precision
from aestyle.nets.resample import blur
from aestyle.nets.rows import convolve_rows


def count_rows(resolution: int, channels: MappingType[int, int], image_channels: int = 3) -> int:
    """Rows of a style matrix: as many as the widest layer of the generator has output channels.

    Args:
        resolution: image size in pixels.
        channels: feature channels at each resolution.
        image_channels: 3 for RGB, 1 for grey.
    """
    return max(image_channels, *(width for size, width in channels.items() if size <= resolution))


def choose_rows(total: int, count: int, which: str = "first") -> slice:
    """The rows of a style matrix that a layer with fewer output channels keeps; row i of them feeds channel i.

    Args:
        total: rows of the matrix.
        count: output channels of the layer.
        which: ``first``, ``last`` or ``strided`` (evenly spread). The paper does not say (footnote 3).

    Raises:
        UserError: there is no such choice.
    """
    chosen = {
        "first": slice(0, count),
        "last": slice(total - count, total),
        "strided": slice(0, count * (total // count), total // count),
    }
    if which not in chosen:
        raise UserError(f"method.synthesis.keep={which}: choose one of {', '.join(chosen)}")
    return chosen[which]


class RowModulatedConv2d(ModulatedConv2d):
    """Convolution each of whose output channels has a style of its own.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: odd side of the kernel.
        style_dim: width of a row.
        up: double height and width.
        total: rows of a style matrix, at least ``out_channels``.
        keep: which of them are kept; see :func:`choose_rows`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        style_dim: int,
        up: bool = False,
        *,
        total: int,
        keep: str = "first",
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, style_dim, up)
        self.rows = choose_rows(total, out_channels, keep)

    def forward(self, x: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
        """Convolves x (N, in, H, W) under the style matrix w (N, total, style_dim).

        Returns:
            As of :class:`~aestyle.nets.modulation.ModulatedConv2d`: the convolution, and demodulation factors, which
            make the scale of a row irrelevant.
        """
        styles = self._styles(w[:, self.rows])
        demodulation = self._demodulation(styles)
        x = convolve_rows(x, self.weight, styles, self.up)
        return (blur(x, padding=1, gain=4.0) if self.up else x), demodulation[:, :, None, None].to(x.dtype)

    @full_precision
    def _styles(self, rows: Tensor) -> Tensor:
        """Scaled styles (N, out, in) of rows (N, out, style_dim)."""
        return F.linear(rows.flatten(0, 1), *self.affine.scaled(self.scale)).unflatten(0, rows.shape[:2])

    @full_precision
    def _demodulation(self, styles: Tensor) -> Tensor:
        energy = self._energy().contiguous()  # in the order of the styles
        return torch.rsqrt((styles.square() * energy).sum(dim=2) + 1e-8)

    def kernel_energies(self, total: int) -> Tensor:
        """Squared lengths of the scaled kernels (total, in) that each row of a style matrix feeds; 0: it feeds none."""
        energies = self.weight.new_zeros(total, self.weight.shape[1])
        energies[self.rows] = self._energy() * self.scale**2
        return energies


class RowToRGB(ToRGB):
    """ToRGB with a style for each image channel.

    Args:
        in_channels: channels of the input.
        image_channels: 3 for RGB, 1 for grey.
        style_dim: width of a row.
        total: rows of a style matrix.
        keep: which of them are kept; see :func:`choose_rows`.
        rgb: ``own``: as many rows as image channels, one each; ``mean``: the mean of all rows for all of them;
            ``shared``: the first row kept for all of them. The paper does not say.

    Raises:
        UserError: there is no such ``rgb``.
    """

    def __init__(
        self,
        in_channels: int,
        image_channels: int,
        style_dim: int,
        *,
        total: int,
        keep: str = "first",
        rgb: str = "own",
    ) -> None:
        super().__init__(in_channels, image_channels, style_dim)
        if rgb not in ("own", "mean", "shared"):
            raise UserError(f"method.synthesis.rgb={rgb}: choose one of own, mean, shared")
        self.rows = choose_rows(total, image_channels, keep)
        self.rgb = rgb

    def forward(self, x: Tensor, w: Tensor, image: Tensor | None) -> Tensor:
        """Maps x (N, in, H, W) under the style matrix w (N, total, style_dim) and the image so far to an image."""
        own = self.weight[:, :, 0, 0] * self.styles(w)
        pixels = x.permute(0, 2, 3, 1).flatten(1, 2)
        y = torch.baddbmm(self.bias, pixels, own.transpose(1, 2))
        y = y.view(len(x), *x.shape[2:], len(self.bias)).permute(0, 3, 1, 2)
        return added_colours(clamped(y, self.clamp), image)

    def styles(self, w: Tensor) -> Tensor:
        """Scaled styles (N, image_channels, in)."""
        rows = w.mean(dim=1, keepdim=True) if self.rgb == "mean" else w[:, self.rows]
        rows = rows if self.rgb == "own" else rows[:, :1]
        styles = self.affine(rows.flatten(0, 1)).view(len(w), rows.shape[1], self.weight.shape[1])
        return styles * self.scale

    def kernel_energies(self, total: int) -> Tensor:
        """As of :class:`RowModulatedConv2d`."""
        energies = self.weight.new_zeros(total, self.weight.shape[1])
        own = (self.weight * self.scale).square().sum(dim=(2, 3))
        if self.rgb == "mean":  # a row is one part of the mean
            return energies + own.sum(dim=0) / total**2
        if self.rgb == "shared":
            energies[self.rows.start] = own.sum(dim=0)
        else:
            energies[self.rows] = own
        return energies


class RowSynthesis(Synthesis):
    """Synthesis network whose styles are matrices: row i of a layer's matrix feeds its output channel i.

    Parameters have the names and shapes of those of :class:`~aestyle.nets.generator.Synthesis`. With equal rows it is
    that network. :meth:`forward` takes ws (N, num_ws, rows, style_dim).

    Args:
        resolution: image size in pixels, a power of two of at least 8.
        style_dim: width of a row.
        channels: feature channels at each resolution from 4 to ``resolution``; the largest is the number of rows.
        image_channels: 3 for RGB, 1 for grey.
        noise: whether layers have noise inputs; the paper's have none.
        keep: ``first``, ``last`` or ``strided``: rows that layers with fewer channels keep.
        rgb: ``own``, ``mean`` or ``shared``: rows that feed the image channels; see :class:`RowToRGB`.
        clamp: as of :class:`~aestyle.nets.generator.Synthesis`.
    """

    def __init__(
        self,
        resolution: int,
        style_dim: int,
        channels: MappingType[int, int],
        image_channels: int = 3,
        noise: bool = False,
        keep: str = "first",
        rgb: str = "own",
        clamp: float | None = None,
    ) -> None:
        total = count_rows(resolution, channels, image_channels)
        super().__init__(
            resolution,
            style_dim,
            channels,
            image_channels,
            noise,
            conv=partial(RowModulatedConv2d, total=total, keep=keep),
            to_rgb=partial(RowToRGB, total=total, keep=keep, rgb=rgb),
            clamp=clamp,
        )
        self.rows = total

    def kernel_energies(self) -> list[Tensor]:
        """For each of :meth:`styled_layers`: squared lengths of the kernels that a row scales, (rows, in)."""
        layers = self.styled_layers()
        return [
            layer.kernel_energies(self.rows) for layer in layers if isinstance(layer, RowModulatedConv2d | RowToRGB)
        ]


class MatrixEncoder(Encoder):
    """Image encoder into style matrices: a style that all rows share, plus a matrix of low rank.

    ``W = 1 s^T + A B / sqrt(rank)`` with s (style_dim), A (rows, rank) and B (rank, style_dim) from one linear layer.
    The prior's matrices have a part that rows share and one that they do not, as well. A layer with an output for each
    entry would have 134 million weights at the paper's size, this one has 4.5.

    Args:
        resolution: image size in pixels.
        channels: feature channels at each resolution, of E and of the generator.
        style_dim: width of a row.
        num_codes: matrices per image: 1, or the number of layers.
        image_channels: 3 for RGB, 1 for grey.
        residual: whether blocks have shortcuts.
        rank: of what rows do not share.
        clamp: as of :class:`~aestyle.nets.discriminator.Discriminator`.
    """

    def __init__(
        self,
        resolution: int,
        channels: MappingType[int, int],
        style_dim: int,
        num_codes: int = 1,
        image_channels: int = 3,
        residual: bool = True,
        rank: int = 8,
        clamp: float | None = None,
    ) -> None:
        rows = count_rows(resolution, channels, image_channels)
        self.sizes = (style_dim, rows * rank, rank * style_dim)
        super().__init__(resolution, channels, sum(self.sizes), num_codes, image_channels, residual, clamp)
        self.rows = rows
        self.style_dim = style_dim
        self.rank = rank

    @property
    def code_shape(self) -> tuple[int, ...]:
        """One code, without the batch: (rows, style_dim), or one such matrix for each layer."""
        matrix = (self.rows, self.style_dim)
        return matrix if self.num_codes == 1 else (self.num_codes, *matrix)

    def forward(self, x: Tensor, sizes: Sequence[int] | None = None) -> Tensor:
        """Maps images (N, C, R, R) in [-1, 1] to matrices (N, num_codes, rows, style_dim)."""
        shared, left, right = super().forward(x).split(self.sizes, dim=2)
        own = left.unflatten(2, (self.rows, self.rank)) @ right.unflatten(2, (self.rank, self.style_dim))
        return shared.unsqueeze(2) + own * (1 / math.sqrt(self.rank))
