"""How different samples are from one another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from aestyle.metrics.pairwise import ImageDistance
from aestyle.metrics.recipe import Measurement, Recipe, Subject, as_saved
from aestyle.metrics.score import SAMPLES

if TYPE_CHECKING:
    from aestyle.data.datamodule import ImageDataModule


@dataclass(frozen=True, kw_only=True)
class PairDiversity(Recipe):
    """Mean distance of random pairs of samples, no sample in two pairs; it is "LPIPS" only with its networks.

    AE-StyleGAN does not define the LPIPS of its Table 1; this protocol (no truncation, pictures of 8 bits, the mean
    over disjoint pairs, where StarGAN v2 takes all pairs of small groups) is ours.

    Args:
        distance: Of two pictures.
        num_pairs: How many pairs; twice as many samples are drawn.
        seed: Of the samples.
    """

    higher_is_better = True

    distance: ImageDistance
    num_pairs: int
    seed: int = 0

    def __call__(self, subject: Subject) -> Measurement:
        """Draws the samples and compares them."""
        count = subject.count_samples(2 * self.num_pairs, reference="train")
        pairs = subject.pairs(count // 2, self.seed)
        values = subject.gather(self._distances(x, y) for x, y in pairs)
        return Measurement(
            metric=self.name,
            value=float(values.double().mean()),
            split=SAMPLES,
            num_images=2 * len(values),
            seed=self.seed,
            extractor=self.distance.name,
            resize=self.distance.resize,
        )

    def _distances(self, x: Tensor, y: Tensor) -> Tensor:
        finite = (x + y).flatten(1).isfinite().all(dim=1)  # 8 bits would hide what is not
        return self.distance(as_saved(x), as_saved(y)).where(finite, torch.nan)

    def check(self, data: ImageDataModule) -> None:
        """Refuses a network without its weights (UserError)."""
        _ = self.distance.name
