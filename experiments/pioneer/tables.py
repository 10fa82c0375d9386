"""Table 1 from the recorded results beside the paper's numbers, ProgGAN/L1 on its own samples, ablations, divergences.

``python -m experiments.pioneer.tables --scale cpu`` (from the top of the checkout) prints them and writes Markdown and
CSV into ``experiments/pioneer/out/<scale>/``. Our entries are mean ± standard deviation over seeds (how many).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np

from aestyle.studies.recording import Noted, show_tables
from aestyle.studies.results import Results
from aestyle.studies.showing import Options, command
from aestyle.studies.tables import Cell, Table
from experiments.notes import SMALL
from experiments.pioneer.paper import FOLDER, Paper
from experiments.pioneer.settings import GAMES, GROWTH, MAIN, METHODS, SIZES, SPECTRAL
from experiments.pioneer.training import batch_of, of_uniform_codes
from experiments.pioneer.values import Values

Row = tuple[str | Cell, ...]

PRINTED = ("fid", "swd", "rmse")
"""The columns of the paper's Table 1; each has a ``..._spread``."""

TO_255 = 127.5
"""Steps of an 8-bit picture in 1 of [-1, 1]."""


@dataclass(frozen=True)
class Layout:
    """Where the entries of all tables come from.

    Args:
        results: the recorded runs.
        paper: the paper's numbers.
    """

    results: Results
    paper: Paper

    @property
    def values(self) -> Values:
        """Looks numbers up."""
        return Values(self.results, self.paper)

    def headings(self, columns: Sequence[str]) -> tuple[str, ...]:
        """Headings of columns at this scale."""
        return tuple(self.paper.heading(column, self.results.scale) for column in columns)

    def marked(self, title: str, first: str, rows: Sequence[Row], columns: Sequence[str], *more: str) -> Table:
        """A table whose columns of ``paper.yaml`` have their best entry marked.

        Args:
            title: of the table.
            first: heading of the first column.
            rows: its entries.
            columns: of ``paper.yaml``, after the first one.
            more: headings of the columns after them.
        """
        headings = self.headings(columns)
        table = Table(title, (first, *headings, *more), tuple(rows))
        better = zip(headings, map(self.paper.is_lower_better, columns), strict=True)
        return reduce(lambda t, each: t.mark_best(*each), better, table)

    # -- the paper's table -------------------------------------------------------------------------------------------

    def table1(self, size: str, runs: Sequence[str]) -> Table:
        """A part of Table 1: for each column ours, its spread over batches, and the paper's."""
        rows: list[Row] = []
        for run in runs:
            ours = (cell for column in PRINTED for cell in self._with_spread(run, column))
            rows.append((self.paper.title(run), *ours, *(self.paper.text(run, column) for column in PRINTED)))
        columns = [name for column in PRINTED for name in (column, f"{column}_spread")]
        theirs = (f"{self.paper.quantity(column, 'paper').partition(' ')[0]} in the paper" for column in PRINTED)
        table = Table(f"Table 1: {size}", ("", *map(self._heading, columns), *theirs), tuple(rows))
        return reduce(Table.mark_best, map(self._heading, PRINTED), table)

    def _heading(self, column: str) -> str:
        scale = self.results.scale
        return self.paper.quantity(column, scale) if column.endswith("_spread") else self.paper.heading(column, scale)

    def _with_spread(self, run: str, column: str) -> tuple[Cell, Cell]:
        return self.values.cell(run, column), self.values.cell(run, f"{column}_spread")

    def units(self) -> Table:
        """The RMSE in three units, beside the paper's, which says none; and what the mean image has."""
        columns = ("rmse", "rmse_01", "mse_100")
        rows: list[Row] = [
            (self.paper.title(run), *(self.values.cell(run, c) for c in columns), self.paper.text(run, "rmse"))
            for run in METHODS
        ]
        table = self.marked("RMSE of held-out pictures, in three units", "", rows, columns, "RMSE in the paper")
        squared = np.array([next(iter(self.values("pioneer", "mean_image").values()), np.nan)])
        known = np.isfinite(squared)
        units = (TO_255 * squared[known] ** 0.5, squared[known] ** 0.5 / 2, 100 * squared[known])
        rows = [*table.rows, ("mean image of the training pictures", *map(Cell.of, units), "")]
        return Table(table.title, table.columns, tuple(rows))

    def floor(self) -> list[str]:
        """What the sliced distance of real pictures is."""
        found = self.values.cell(MAIN[self.results.scale], "real_swd")
        text = f"SWD of the held-out pictures from as many training pictures: {found}; it is larger the fewer they are."
        return [text] if found.values else []

    # -- what the paper says in words --------------------------------------------------------------------------------

    def faithful(self) -> Table:
        """How close reconstructions are in other measures."""
        columns = ("share", "perceptual", "found")
        rows = [(self.paper.title(run), *(self.values.cell(run, column) for column in columns)) for run in METHODS]
        table = self.marked("Held-out reconstructions in other measures", "", rows, columns)
        share = self.headings(["share"])[0]
        headings = ["squared error per that of the mean image ↓" if c == share else c for c in table.columns]
        return Table(table.title, tuple(headings), table.rows)

    def own_samples(self) -> Table:
        """How well models reconstruct what they have generated, beside real pictures."""
        columns = ("error", "share", "own_error", "own_share", "perceptual", "own_perceptual")
        of = ("held-out pictures", "own samples")
        names = ("squared error", "squared error per variance of the pictures")
        headings = [f"{name}: {pictures}" for pictures in of for name in names]
        network = self.paper.quantity("perceptual", self.results.scale).partition(",")[0]
        headings += [f"{network}: {pictures}" for pictures in of]
        order = ("progan_l1", *(run for run in METHODS if run != "progan_l1"))
        rows = tuple((self.paper.title(run), *(self.values.cell(run, c) for c in columns)) for run in order)
        return Table("Section 4.1: own samples against real pictures", ("", *headings), rows)

    def ablations(self) -> Table:
        """Without spectral norm, without growth."""
        scale = self.results.scale
        columns = ("fid", "swd", "rmse", "perceptual", "found")
        rows: list[Row] = []
        for run in dict.fromkeys((*SPECTRAL[scale], *GROWTH[scale])):
            planned = [job for job in self.results.jobs if job.run == run]
            found = [result for (name, _), result in self.results.found.items() if name == run]
            cells = (self.values.cell(run, column) for column in columns)
            minutes = Cell.of([result["train_seconds"] / 60 for result in found])
            rows.append((run, *cells, minutes, f"{len(found)} of {len(planned)}"))
        headings = ("minutes of training", "trainings that ended")
        return Table("Ablations: spectral norm, growth", ("run", *self.headings(columns), *headings), tuple(rows))

    def divergences(self) -> Table:
        """The KL terms at the end of the training, above their floor."""
        columns = ("kl_real_first", "kl_real", "kl_fake", "kl_generated", "cosine", "kl_floor")
        rows = tuple(
            (run, *(self.values.cell(run, column) for column in columns), self._of_uniform(run)) for run in GAMES
        )
        headings = (
            "real, first tenth",
            "real",
            "generated, E's step",
            "generated, G's step",
            "cosine of z and E(G(z))",
            "floor",
            "a batch of uniform codes",
        )
        return Table("Divergence of codes above its floor, last tenth of the training", ("run", *headings), rows)

    def _of_uniform(self, run: str) -> str:
        batch = batch_of(self.results, run)
        return f"{of_uniform_codes(batch):.3f} (batch {batch})" if batch else ""


def all_tables(results: Results, paper: Paper) -> list[Noted]:
    """Every table."""
    layout = Layout(results, paper)
    general = (SMALL,) if results.scale == "cpu" else ()
    spread = (
        "Columns with ± are standard deviations of one model over batches, as the paper's: over five batches of "
        "samples, over ten parts of the held-out pictures; mean over seeds. The ± inside an entry is over seeds."
    )
    unit = "The paper does not say in which unit its RMSE is."
    own = (
        "Errors are mean squares on [-1, 1] without clamping; of real pictures per that of the training set's mean "
        "image, of 500 samples per that of their own mean."
    )
    ended = "A training that diverges is given up and leaves no result: it is missing in the last column."
    small = ("The paper's claim on spectral norm is about sizes above 64 px.",) if results.scale == "cpu" else ()
    floor = (
        "Mean over the code's d dimensions of Equation 1, less ½/d − ½ + ½ ln d, which codes have that are uniform on "
        "the sphere. A batch's variances scatter, so that a batch of such codes lies above the floor, too: last column."
    )
    parts = SIZES[results.scale]
    build: Callable[[str, Sequence[str]], Table] = layout.table1
    return [
        *(Noted(_name(i), build(*part), (*general, spread, *layout.floor())) for i, part in enumerate(parts.items())),
        Noted("units", layout.units(), (*general, unit)),
        Noted("faithful", layout.faithful(), general),
        Noted("own_samples", layout.own_samples(), (own,)),
        Noted("ablations", layout.ablations(), (*general, ended, *small)),
        Noted("divergences", layout.divergences(), (floor,)),
    ]


def _name(part: int) -> str:
    return "table1" if part == 0 else f"table1-{part + 1}"


def main(options: Options) -> None:
    """Prints and writes the tables."""
    results, paper = options.results(), Paper.load()
    show_tables(all_tables(results, paper), results, options.output)


if __name__ == "__main__":
    command(main, __doc__, FOLDER)
