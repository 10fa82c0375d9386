"""Trainings in bf16-mixed beside those in 32 bits, from the recorded results.

``python -m experiments.precision.tables --scale cpu`` (from the top of the checkout) prints the tables and writes
Markdown and CSV into ``experiments/precision/out/<scale>/``.
"""

import math
from collections.abc import Sequence
from pathlib import Path

from scipy.stats import t

from aestyle.studies.recording import Noted, show_tables
from aestyle.studies.results import Results
from aestyle.studies.showing import Options, command
from aestyle.studies.tables import MISSING, Cell, Table

FOLDER = Path("experiments") / "precision"
"""From the top of the checkout, where every command is called."""

NARROW = "_bf16"
"""Behind the name of a run in 32 bits: the same one in bf16-mixed."""

METRICS = {"rec_mse": "error of held-out reconstructions", "fd_efflite0": "FD of samples"}
CONFIDENCE = 0.95

NOTES = (
    "Mean ± sample standard deviation (number of seeds). Apart: the mean of bf16-mixed less that of 32 bits over the "
    "same seeds, in standard deviations of the trainings in 32 bits.",
    "Within: the mean of bf16-mixed lies in the interval where that of as many further, independent trainings in 32 "
    f"bits would lie with {CONFIDENCE:.0%} probability (Student's distribution; with three seeds that is 5.0 standard "
    "deviations to either side for one training, 3.5 for three). Trainings that share their seeds are more alike than "
    "independent ones, so this asks whether the precision matters beside the seed, no more; of so many rows, one may "
    "lie outside by chance.",
)


def within(wide: Sequence[float], narrow: Sequence[float]) -> bool:
    """Whether the mean of ``narrow`` lies in the prediction interval that ``wide`` (two or more) gives for it."""
    cell, other = Cell.of(wide), Cell.of(narrow)
    reach = float(t.ppf((1 + CONFIDENCE) / 2, len(wide) - 1)) * math.sqrt(1 / len(wide) + 1 / len(narrow))
    return bool(abs(other.mean - cell.mean) <= reach * cell.std)


def table(results: Results, metric: str) -> Table:
    """One row a method in which the metric has a meaning: both precisions, and how far they are apart."""
    rows: list[tuple[str | Cell, ...]] = []
    for run in dict.fromkeys(job.run for job in results.jobs if not job.run.endswith(NARROW)):
        wide, narrow = (results.value(name, metric) for name in (run, run + NARROW))
        if any(metric in results.found[key].get("not_measured", {}) for key in results.found if key[0] == run):
            continue
        told = (MISSING, MISSING)
        if len(wide) > 1 and narrow:
            same = results.by_seed(run, metric)
            moved = [value - same[seed] for seed, value in results.by_seed(run + NARROW, metric).items()]
            told = (f"{Cell.of(moved).mean / Cell.of(wide).std:+.2f}", "yes" if within(wide, narrow) else "no")
        rows.append((run, Cell.of(wide), Cell.of(narrow), *told))
    columns = ("method", "32 bits", "bf16-mixed", "apart", "within")
    return Table(METRICS[metric][0].upper() + METRICS[metric][1:], columns, tuple(rows))


def all_tables(results: Results) -> list[Noted]:
    """A table for each metric."""
    return [Noted(metric, table(results, metric), NOTES) for metric in METRICS]


def main(options: Options) -> None:
    """Prints and writes the tables."""
    results = options.results()
    show_tables(all_tables(results), results, options.output)


if __name__ == "__main__":
    command(main, __doc__, FOLDER)
