"""Numbers of runs under the names that tables and statements have for them."""

from dataclasses import dataclass

from aestyle.studies.results import Results
from aestyle.studies.tables import Cell
from experiments.pioneer.paper import Paper
from experiments.pioneer.training import EXCESS, FAKE, GENERATED, REAL, above_floor, first, kept, last

TRAINING = {
    "kl_real_first": lambda curves: first(curves[EXCESS]),
    "kl_real": lambda curves: last(curves[EXCESS]),
    "kl_fake": lambda curves: last(above_floor(curves, FAKE)),
    "kl_generated": lambda curves: last(above_floor(curves, GENERATED)),
    "kl_floor": lambda curves: float((curves[REAL] - curves[EXCESS])[0]),
    "cosine": lambda curves: last(curves["score/cosine"]),
}
"""Columns that come from the curves of the training; divergences are above their floor."""


@dataclass(frozen=True)
class Values:
    """Looks numbers up.

    Args:
        results: the recorded runs, beside which the curves of their trainings are.
        paper: which metric stands in which column.
    """

    results: Results
    paper: Paper

    def __call__(self, run: str, column: str) -> dict[int, float]:
        """The values of a run over seeds, in a column of ``paper.yaml`` or of :data:`TRAINING`."""
        if column in TRAINING:
            return {seed: TRAINING[column](curves) for seed, curves in kept(self.results, run).items()}
        return self.paper.by_seed(self.results, self.results.scale)(run, column)

    def cell(self, run: str, column: str) -> Cell:
        """The values for a table."""
        return Cell.of(list(self(run, column).values()))
