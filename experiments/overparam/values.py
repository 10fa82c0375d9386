"""Numbers of runs and of inversions, under the names that tables and statements have for them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from aestyle.studies.results import Results
from aestyle.studies.tables import Cell
from experiments.overparam.inversions import read_inversion
from experiments.overparam.paper import Paper
from experiments.overparam.settings import SETTINGS, Setting

STEPS_TO = "steps to "
"""Begins the columns that count the steps to where another inversion ends, whose name follows."""

SPREAD = "spread"
"""How far the distance of a picture lies from the median of all."""

BY_NAME = {setting.name: setting for setting in SETTINGS}

Numbers = dict[str, Any]
"""The content of an inversion's result file."""


@dataclass(frozen=True)
class Values:
    """Looks numbers up.

    Args:
        results: the recorded runs, beside which the inversions are.
        paper: which metric stands in which column.
    """

    results: Results
    paper: Paper

    def __call__(self, run: str, column: str) -> dict[int, float]:
        """The values of a run over seeds, or of an inversion: a value a picture (mean over seeds), or one a seed.

        Args:
            run: of the study, or the name of a setting.
            column: of ``paper.yaml``, :data:`SPREAD`, or :data:`STEPS_TO` and the name of a setting.
        """
        if run not in BY_NAME:
            return self.results.by_seed(run, self.paper.metric(column, self.results.scale))
        found = {numbers["seed"]: self._of(numbers, column) for numbers in self.inversions(BY_NAME[run])}
        if column in ("rec_frechet", "midpoint_frechet", "seconds"):
            return {seed: float(value) for seed, value in found.items() if value is not None}
        pictures = [value for value in found.values() if value is not None]
        return dict(enumerate(np.mean(pictures, axis=0).tolist())) if pictures else {}

    def cell(self, run: str, column: str) -> Cell:
        """The values for a table."""
        return Cell.of(list(self(run, column).values()))

    def inversions(self, setting: Setting) -> list[Numbers]:
        """The result files of a setting, over seeds."""
        seeds = sorted(seed for run, seed in self.results.found if run == setting.run)
        found = (read_inversion(self.results, setting, seed) for seed in seeds)
        return [numbers for numbers in found if numbers is not None]

    def _of(self, numbers: Numbers, column: str) -> Any:
        if column == SPREAD:
            distance = np.asarray(numbers["distance"])
            return np.abs(distance - np.median(distance))
        if column.startswith(STEPS_TO):
            goal = read_inversion(self.results, BY_NAME[column.removeprefix(STEPS_TO)], numbers["seed"])
            return None if goal is None else steps_to(numbers, goal["distance"])
        return numbers.get(column)


def steps_to(numbers: Numbers, goal: Sequence[float]) -> np.ndarray[Any, Any]:
    """For each picture the first recorded step at which its curve is not above its goal; all steps if there is none.

    Args:
        numbers: of an optimisation.
        goal: a distance for each picture.
    """
    reached = np.asarray(numbers["curves"]) <= np.asarray(goal)[:, None]
    first = np.where(reached.any(axis=1), reached.argmax(axis=1) * numbers["every"], numbers["steps"])
    return first.astype(float)
