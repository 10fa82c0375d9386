"""What the codes of a style-based generator are: one vector an image, or a matrix of styles."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

from torch import Tensor

from aestyle.errors import UserError
from aestyle.latents.spaces import Space
from aestyle.nets.generator import Synthesis, style_per_layer
from aestyle.nets.overparam import RowSynthesis

Normal = Callable[[str, tuple[int, ...]], Tensor]
"""Name and shape of a draw to numbers from N(0, 1), (N, *shape)."""


class StyleCodes(Protocol):
    """What z, w and the styles of G are. ``synthesis`` is the generator that they are for."""

    def draw(self, synthesis: Any, normal: Normal, name: str) -> Tensor:
        """Prior codes z of the draw ``name``, (N, ...)."""
        ...

    def styles(self, synthesis: Any, w: Tensor) -> Tensor:
        """What G takes, (N, num_ws, ...), of what F made of prior codes."""
        ...

    def spaces(self, synthesis: Any) -> dict[str, Space]:
        """The latent spaces: ``z``, that of F's outputs, and wider ones, of which G takes the last."""
        ...


@dataclass(frozen=True)
class StyleVectors:
    """StyleGAN2's codes: z from N(0, I), and one style for all layers."""

    def draw(self, synthesis: Synthesis, normal: Normal, name: str) -> Tensor:
        """Prior codes of the draw ``name``: (N, style_dim)."""
        return normal(name, (synthesis.style_dim,))

    def styles(self, synthesis: Synthesis, w: Tensor) -> Tensor:
        """What G takes, of what F made of prior codes: (N, num_ws, style_dim)."""
        return style_per_layer(w, synthesis.num_ws)

    def spaces(self, synthesis: Synthesis) -> dict[str, Space]:
        """``z``, ``w``, and ``w_plus``: one style for each layer."""
        num_ws, dim = synthesis.num_ws, synthesis.style_dim
        return {
            "z": Space("z", (dim,)),
            "w": Space("w", (dim,)),
            "w_plus": Space("w_plus", (num_ws, dim), per_layer=True),
        }


@dataclass(frozen=True)
class StyleMatrices:
    """Codes of overparameterised StyleGAN (Poirier-Ginter et al., 2022): matrices, row i for output channel i.

    The prior is ``Z_i = sqrt(rho) z + sqrt(1 - rho) z_i`` with z and z_i from N(0, I): every row is N(0, I), and two
    rows have the correlation rho. F maps every row for itself.

    Args:
        rho: correlation of rows: 1/2 is the paper's; 1 makes all rows equal, which is StyleGAN2; 0 makes them
            independent, which the paper reports to fail.
        own_per_layer: every layer gets a matrix of its own, independent of the others' (footnote 4, reported to
            degrade); the paper shares one between all layers.
        mix_shared: the second codes of style mixing have the z of the first ones, and differ in the z_i only; the
            paper does not say, by default they have nothing in common.

    Raises:
        UserError: rho is not in [0, 1].
    """

    rho: float = 0.5
    own_per_layer: bool = False
    mix_shared: bool = False

    def __post_init__(self) -> None:
        """Looks at rho."""
        if not 0 <= self.rho <= 1:
            raise UserError(f"method.codes.rho={self.rho}: give a correlation of rows between 0 and 1")

    def draw(self, synthesis: RowSynthesis, normal: Normal, name: str) -> Tensor:
        """Prior codes (N, rows, style_dim), or (N, num_ws, rows, style_dim) where every layer has its own.

        Args:
            synthesis: the generator.
            normal: random numbers.
            name: of the draw that all rows share; those of single rows add ``_rows``.
        """
        layers = (synthesis.num_ws,) if self.own_per_layer else ()
        dim = synthesis.style_dim
        common = normal("z" if self.mix_shared else name, (*layers, dim)).unsqueeze(-2)
        rows = normal(f"{name}_rows", (*layers, synthesis.rows, dim))
        return math.sqrt(self.rho) * common + math.sqrt(1 - self.rho) * rows

    def styles(self, synthesis: RowSynthesis, w: Tensor) -> Tensor:
        """What G takes, of what F made of prior codes: (N, num_ws, rows, style_dim)."""
        return w if self.own_per_layer else style_per_layer(w, synthesis.num_ws)

    def spaces(self, synthesis: RowSynthesis) -> dict[str, Space]:
        """``z`` and ``w_rows``: one matrix for all layers; ``w_rows_plus``: one for each.

        Where layers have codes of their own, ``z`` has one matrix for each, too, and there is no ``w_rows``.
        """
        num_ws, matrix = synthesis.num_ws, (synthesis.rows, synthesis.style_dim)
        widest = Space("w_rows_plus", (num_ws, *matrix), per_layer=True, rows=True)
        if self.own_per_layer:
            return {"z": replace(widest, name="z"), widest.name: widest}
        narrow = {name: Space(name, matrix, rows=True) for name in ("z", "w_rows")}
        return {**narrow, widest.name: widest}
