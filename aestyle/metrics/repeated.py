"""How far a figure moves when its samples, or its pictures, are others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol, Self, cast

import numpy as np
from torch import Tensor

from aestyle.errors import UserError
from aestyle.metrics.recipe import Measurement, Recipe, Subject
from aestyle.metrics.reconstruction import ReconstructionRMSE

if TYPE_CHECKING:
    from aestyle.data.datamodule import ImageDataModule

STATISTICS: dict[str, Callable[[Sequence[float]], Any]] = {"mean": np.mean, "std": np.std}


class _Seeded(Protocol):
    seed: int


@dataclass(frozen=True, kw_only=True)
class OverSeeds(Recipe):
    """Mean or standard deviation of a metric of samples over several batches of samples, each of a seed of its own.

    Args:
        of: the metric; its seed is the first.
        repeats: how many batches.
        statistic: ``mean`` or ``std`` (the biased one, as numpy's).

    Raises:
        UserError: there is no such statistic, or the metric draws no samples.
    """

    of: Recipe
    repeats: int = 5
    statistic: str = "mean"

    def __post_init__(self) -> None:
        """Refuses what cannot be."""
        if self.statistic not in STATISTICS:
            raise UserError(f"statistic={self.statistic}: choose one of {', '.join(STATISTICS)}")
        if not hasattr(self.of, "seed"):
            raise UserError(f"{self.name}: {self.of.name} draws no samples, so that no seed changes it")

    def __call__(self, subject: Subject) -> Measurement:
        """Measures it with each seed, once for all statistics."""
        first = cast(_Seeded, self.of).seed
        found = [self._measured(subject, first + i) for i in range(self.repeats)]
        value = float(STATISTICS[self.statistic]([each.value for each in found]))
        return replace(found[0], metric=self.name, value=value)

    def _measured(self, subject: Subject, seed: int) -> Measurement:
        recipe = replace(self.of, seed=seed)  # type: ignore[call-arg]
        return subject.once(("measured", recipe), lambda: recipe(subject))

    def check(self, data: ImageDataModule) -> None:
        """Refuses what the metric refuses (UserError)."""
        self.of.check(data)

    def on(self, split: str) -> Self:
        """The same metric on other pictures."""
        return replace(self, of=self.of.on(split))


@dataclass(frozen=True, kw_only=True)
class ReconstructionRMSESpread(ReconstructionRMSE):
    """Standard deviation (biased) of the RMSE over equal parts of the split's pictures.

    Args:
        parts: how many; one picture of so many belongs to each, in turn.
    """

    parts: int = 10

    def summary(self, values: Tensor) -> float:
        """The deviation of the parts' roots of the mean."""
        roots = [super(ReconstructionRMSESpread, self).summary(values[i :: self.parts]) for i in range(self.parts)]
        return float(np.std(roots))
