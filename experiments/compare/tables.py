"""Every method of the suite in one table, from the recorded results.

``python -m experiments.compare.tables --scale cpu`` (from the top of the checkout) prints it and writes Markdown and
CSV into ``experiments/compare/out/<scale>/``.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any

from aestyle.studies.recording import Noted, show_tables
from aestyle.studies.results import Result, Results, results_folder
from aestyle.studies.showing import Options, command
from aestyle.studies.tables import MISSING, Cell, Table

FOLDER = Path("experiments") / "compare"
"""From the top of the checkout, where every command is called."""

NOT_OFFERED = "–"
"""Stands where a metric has no meaning for a method."""

MEAN_IMAGE = "mse_mean_image"

SPEED = "speed.json"
"""Beside the results: what ``speed`` measured."""


@dataclass(frozen=True)
class Column:
    """A column of the table.

    Args:
        title: what is measured.
        of: the number of a result.
        lower: whether small numbers are good.
        metric: name of the metric, where it is one.
    """

    title: str
    of: Callable[[Result], Any]
    lower: bool = True
    metric: str = ""

    @classmethod
    def measured(cls, title: str, metric: str, lower: bool = True) -> "Column":
        """A column of a metric."""
        return cls(title, lambda result: result["metrics"].get(metric), lower, metric)

    @property
    def heading(self) -> str:
        """With an arrow towards the better."""
        return f"{self.title} {'↓' if self.lower else '↑'}"

    def entry(self, results: Sequence[Result]) -> str | Cell:
        """The entry of a method, from the results of its seeds."""
        if not results:
            return MISSING
        if any(self.metric in result.get("not_measured", {}) for result in results):
            return NOT_OFFERED
        return Cell.of([value for result in results if (value := self.of(result)) is not None])


COLUMNS = (
    Column.measured("MSE", "rec_mse"),
    Column.measured("perceptual distance", "rec_perceptual_efflite0"),
    Column.measured("own original is nearest", "own_original_efflite0", lower=False),
    Column.measured("FD of samples", "fd_efflite0"),
    Column.measured("SWD of samples", "swd_500"),
    Column.measured("coverage", "coverage_efflite0_1k", lower=False),
    Column.measured("distance of two samples", "pairs_efflite0_500", lower=False),
    Column.measured("path length", "ppl_z_full_efflite0_500"),
    Column("parameters, millions", lambda result: sum(result["parameters"].values()) / 1e6),
    Column("minutes of training", lambda result: result["train_seconds"] / 60),
)

SPEEDS = {"training": "ms of training ↓", "reconstruction": "ms of reconstruction ↓", "sample": "ms of a sample ↓"}
"""Columns of :data:`SPEED`."""

NOTES = (
    "The first three columns are of held-out pictures and their reconstructions; MSE: mean squared error on [-1, 1]. "
    f"{NOT_OFFERED}: the method has no encoder. `two_stage` starts from the trained `stylegan2`, whose time and "
    "pictures come before its own; `progan_l1` spends most of its pictures on the GAN.",
    "Path length: at random points of great circles between codes of the prior, in features of EfficientNet-lite0, as "
    "are all distances but MSE and SWD. Samples that differ little have short paths: read it beside the distance of "
    "two samples.",
    "Parameters: of all networks that are trained. Milliseconds of one processor core an image (`speed.py`): of the "
    "training as it is at its end (of `progan_l1` that of the encoder alone), of encoding and decoding, of sampling, "
    "16 images at a time. Minutes of training are wall time of a machine that did other work as well.",
    "Nothing here is tuned for this size, and one seed says nothing of scatter: differences of a few per cent mean "
    "nothing.",
)


def methods(results: Results) -> list[str]:
    """The rows."""
    return list(dict.fromkeys(job.run for job in results.jobs))


def table(results: Results) -> Table:
    """One row a method, and the mean image of the training pictures as a yardstick."""
    file = results_folder(results.study, results.scale) / SPEED
    speeds = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    rows: list[tuple[str | Cell, ...]] = []
    for method in methods(results):
        found = [result for (run, _), result in sorted(results.found.items()) if run == method]
        measured = (_speed(speeds.get(method, {}), what, found) for what in SPEEDS)
        rows.append((method, *(column.entry(found) for column in COLUMNS), *measured))
    headings = (*(column.heading for column in COLUMNS), *SPEEDS.values())
    marked = Table("Every method", ("method", *headings), tuple(rows))
    better = {**{column.heading: column.lower for column in COLUMNS}, **dict.fromkeys(SPEEDS.values(), True)}
    marked = reduce(lambda t, heading: t.mark_best(heading, better[heading]), headings, marked)
    known = [result["metrics"][MEAN_IMAGE] for result in results.found.values() if MEAN_IMAGE in result["metrics"]]
    yardstick = ("mean image", Cell.of(known[:1]), *[""] * (len(headings) - 1))
    return Table(marked.title, marked.columns, (*marked.rows, yardstick))


def _speed(measured: Mapping[str, Any], what: str, found: Sequence[Result]) -> str | Cell:
    """An entry of :data:`SPEEDS`; what was measured of another training does not count."""
    if measured.get("trained") not in {result["config_hash"] for result in found}:
        return MISSING
    return NOT_OFFERED if measured[what] is None else Cell((measured[what],))


def all_tables(results: Results) -> list[Noted]:
    """The one table."""
    return [Noted("methods", table(results), NOTES)]


def main(options: Options) -> None:
    """Prints and writes the table."""
    results = options.results()
    show_tables(all_tables(results), results, options.output)


if __name__ == "__main__":
    command(main, __doc__, FOLDER)
