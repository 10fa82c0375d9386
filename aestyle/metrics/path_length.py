"""Perceptual path length: how evenly pictures change along a way through latent space."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from aestyle.engine.draws import KeyedDraws
from aestyle.errors import NotOffered, UserError
from aestyle.metrics.pairwise import ImageDistance
from aestyle.metrics.recipe import Measurement, Recipe, Subject
from aestyle.metrics.score import SAMPLES
from aestyle.protocol import LatentModel

if TYPE_CHECKING:
    from aestyle.data.datamodule import ImageDataModule

SAMPLING = ("end", "full")
"""Where on the way the step is taken: at its start, or uniformly anywhere."""

MAX_SIZE = 256
"""Pictures of twice this size or more are shrunk to it, as in the reference."""


@dataclass(frozen=True, kw_only=True)
class PerceptualPathLength(Recipe):
    """Perceptual path length (Karras et al., arXiv:1812.04948, section 4.1); it is "PPL" only with LPIPS on VGG16.

    Two codes of the prior make a way: a straight line in W, an arc in Z. The distance of the pictures at ``t`` and at
    ``t + epsilon``, over epsilon squared, is averaged over the ways, without the 1% shortest and the 1% longest.
    Pictures are not clamped, noise is constant.

    The step is small against float32: compared with float64 throughout, single distances were off by 0.3% (median) to
    2%, the mean by less than 0.05% (a 32 px AE-StyleGAN with EfficientNet-lite0, W and Z, end and full), which is far
    below the spread of different seeds. Nearly all of it is the rounding of the codes.

    Args:
        distance: Of two pictures.
        num_pairs: How many ways.
        space: ``w`` or ``z``: where the ways lead through. Where styles form a matrix, all its rows go together.
        sampling: ``end`` or ``full``, see ``SAMPLING``.
        crop: Compare the middle of aligned faces only, rows 3/8 to 7/8 and columns 2/8 to 6/8.
        epsilon: Length of the step, as a part of the way.
        seed: Of the codes and of ``t``.

    Raises:
        UserError: There is no such sampling; at the call: the model has no such space.
    """

    distance: ImageDistance
    num_pairs: int
    space: str = "w"
    sampling: str = "end"
    crop: bool = False
    epsilon: float = 1e-4
    seed: int = 0

    def __post_init__(self) -> None:
        if self.sampling not in SAMPLING:
            raise UserError(f"{self.name}.sampling={self.sampling}: choose one of {', '.join(SAMPLING)}")

    def __call__(self, subject: Subject) -> Measurement:
        """Walks ``num_pairs`` ways."""
        lengths = self._lengths(self._model(subject))
        values = subject.gather(subject.drawn(lengths, self.num_pairs, self.seed, "steps"))
        return Measurement(
            metric=self.name,
            value=trimmed_mean(values),
            split=SAMPLES,
            num_images=2 * len(values),
            seed=self.seed,
            extractor=self.distance.name,
            resize=self.distance.resize,
        )

    def _model(self, subject: Subject) -> LatentModel:
        model = subject.autoencoder
        spaces = list(model.spaces) if isinstance(model, LatentModel) else []
        if not isinstance(model, LatentModel) or self._space(model) is None:
            has = f"has only {', '.join(spaces)}" if spaces else "has no latent spaces"
            raise NotOffered(
                f"{self.name} walks through space {self.space}, but this model {has}: leave the metric out"
            )
        return model

    def _space(self, model: LatentModel) -> str | None:
        """The model's space of this name; for ``w`` also the first wider one, such as that of style matrices."""
        return next((name for name in model.spaces if name == self.space or name.startswith(f"{self.space}_")), None)

    def _lengths(self, model: LatentModel) -> Callable[[int, int], Tensor]:
        """(how many, seed) to the squared speeds (n,) of that many steps."""
        way, space = slerp if self.space == "z" else torch.lerp, self._space(model)
        assert space is not None

        def lengths(n: int, seed: int) -> Tensor:
            ends = model.convert_code(model.prior(2 * n, seed), "z", space)
            start, end = ends[0::2].double(), ends[1::2].double()
            t = self._positions(n, seed).to(start).view(-1, *[1] * (ends.ndim - 1))
            codes = (way(start, end, at).to(ends.dtype) for at in (t, t + self.epsilon))
            x, y = (self._view(model.decode(code, space)) for code in codes)
            return self.distance(x, y).double() / self.epsilon**2

        return lengths

    def _positions(self, n: int, seed: int) -> Tensor:
        if self.sampling == "end":
            return torch.zeros(n)
        return KeyedDraws(seed, "path_length", 0, torch.arange(n), 0).uniforms("t", ())

    def _view(self, x: Tensor) -> Tensor:
        """What is compared of images (N, C, H, W)."""
        if self.crop:
            part = x.shape[2] // 8
            x = x[:, :, 3 * part : 7 * part, 2 * part : 6 * part]
        if x.shape[2] >= 2 * MAX_SIZE:
            x = F.interpolate(x, (MAX_SIZE, MAX_SIZE), mode="bilinear", align_corners=False)
        return x

    def check(self, data: ImageDataModule) -> None:
        """Refuses a network without its weights (UserError)."""
        _ = self.distance.name


def slerp(start: Tensor, end: Tensor, t: Tensor) -> Tensor:
    """Spherical interpolation: the direction turns at a constant rate, the length changes linearly.

    Args:
        start: Codes (N, D).
        end: Codes (N, D), not opposite to ``start``.
        t: (N, 1), 0 gives ``start``, 1 gives ``end``.
    """
    start_length, end_length = start.norm(dim=-1, keepdim=True), end.norm(dim=-1, keepdim=True)
    a, b = start / start_length, end / end_length
    across = F.normalize(b - (a * b).sum(dim=-1, keepdim=True) * a, dim=-1)
    angle = t * torch.acos((a * b).sum(dim=-1, keepdim=True).clamp(-1, 1))
    return torch.lerp(start_length, end_length, t) * (a * angle.cos() + across * angle.sin())


def trimmed_mean(values: Tensor, low: float = 1, high: float = 99) -> float:
    """Mean of the values (N,) between two percentiles, both included and rounded outward; NaN if one is NaN."""
    found = values.double().numpy()
    if not np.isfinite(found).all():
        return float("nan")
    bounds = np.percentile(found, low, method="lower"), np.percentile(found, high, method="higher")
    return float(found[(bounds[0] <= found) & (found <= bounds[1])].mean())
