"""Overparameterised StyleGAN (Poirier-Ginter et al., 2022): the latent code is a matrix, one style per channel."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from torch import Tensor

from aestyle.engine.draws import Draws, sample_normal
from aestyle.errors import UserError
from aestyle.latents.spaces import Space
from aestyle.methods.stylegan2 import StyleGAN2
from aestyle.nets.generator import style_per_layer
from aestyle.nets.overparam import RowSynthesis


class Overparam(StyleGAN2):
    """StyleGAN2 in the phases and losses, with style matrices in the place of styles.

    The prior is a matrix ``Z_i = sqrt(rho) z + sqrt(1 - rho) z_i`` with z and z_i from N(0, I): every row is N(0, I),
    and two rows have the correlation rho. F maps every row. The path length of an image is the norm of the gradient of
    a whole matrix, root of the mean over layers, as the paper does not say otherwise.

    Args:
        synthesis: synthesis network G on style matrices.
        rho: correlation of rows: 1/2 is the paper's; 1 makes all rows equal, which is StyleGAN2; 0 makes them
            independent, which the paper reports to fail.
        own_per_layer: every layer gets a matrix of its own, independent of the others' (footnote 4, reported to
            degrade); the paper shares one between all layers.
        mix_shared: the second codes of style mixing have the z of the first ones, and differ in the z_i only; the
            paper does not say, by default they have nothing in common.
        **kwargs: see :class:`~aestyle.methods.stylegan2.StyleGAN2`.

    Raises:
        UserError: rho is not in [0, 1].
    """

    synthesis: RowSynthesis

    def __init__(
        self,
        synthesis: RowSynthesis,
        rho: float = 0.5,
        own_per_layer: bool = False,
        mix_shared: bool = False,
        **kwargs: Any,
    ) -> None:
        if not 0 <= rho <= 1:
            raise UserError(f"method.rho={rho}: give a correlation of rows between 0 and 1")
        super().__init__(synthesis=synthesis, **kwargs)
        self.rho = rho
        self.own_per_layer = own_per_layer
        self.mix_shared = mix_shared

    def unmixed_styles(self, name: str, count: int, draws: Draws) -> Tensor:
        """Style matrices (count, num_ws, rows, style_dim) of one prior code per image, the draw ``name``."""
        shared = "z" if self.mix_shared else name
        w = self.mapping(self.correlated_rows(lambda part, shape: draws.normal(part, shape, count), shared, name))
        return w if self.own_per_layer else style_per_layer(w, self.synthesis.num_ws)

    def correlated_rows(self, normal: Callable[[str, tuple[int, ...]], Tensor], shared: str, own: str) -> Tensor:
        """Prior codes (N, rows, style_dim), or (N, num_ws, rows, style_dim) where every layer has its own.

        Args:
            normal: name and shape of a draw to N(0, 1) of (N, *shape).
            shared: name of the draw that all rows share.
            own: name of the draws of single rows, to which ``_rows`` is added.
        """
        layers = (self.synthesis.num_ws,) if self.own_per_layer else ()
        dim = self.synthesis.style_dim
        common = normal(shared, (*layers, dim)).unsqueeze(-2)
        rows = normal(f"{own}_rows", (*layers, self.synthesis.rows, dim))
        return math.sqrt(self.rho) * common + math.sqrt(1 - self.rho) * rows

    # -- the trained model from outside ------------------------------------------------------------------------------

    @property
    def spaces(self) -> dict[str, Space]:
        """``z`` and ``w_rows``: one matrix for all layers; ``w_rows_plus``: one for each.

        Where layers have codes of their own, ``z`` has one matrix for each, too, and there is no ``w_rows``.
        """
        num_ws, matrix = self.synthesis.num_ws, (self.synthesis.rows, self.synthesis.style_dim)
        widest = Space("w_rows_plus", (num_ws, *matrix), per_layer=True, rows=True)
        if self.own_per_layer:
            return {"z": replace(widest, name="z"), widest.name: widest}
        narrow = {name: Space(name, matrix, rows=True) for name in ("z", "w_rows")}
        return {**narrow, widest.name: widest}

    @property
    def code_space(self) -> str:
        """``w_rows``, or ``w_rows_plus`` where layers have codes of their own."""
        return list(self.spaces)[1]

    def prior(self, n: int, seed: int = 0) -> Tensor:
        """Codes of :meth:`sample` in space ``z``: correlated rows; the first codes do not depend on ``n``."""
        return self.correlated_rows(
            lambda part, shape: sample_normal(seed, part, n, shape, self.device).to(self.dtype), "z", "z"
        )
