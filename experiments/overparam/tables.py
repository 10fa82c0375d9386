"""Tables 1 to 4 from the recorded results, beside the paper's numbers, and what else was measured.

``python -m experiments.overparam.tables --scale cpu`` (from the top of the checkout) prints them and writes Markdown
and CSV into ``experiments/overparam/out/<scale>/``.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path

from aestyle.studies.recording import Noted, show_tables
from aestyle.studies.results import Results
from aestyle.studies.showing import Options
from aestyle.studies.tables import Cell, Table
from experiments.notes import SMALL
from experiments.overparam.options import command
from experiments.overparam.paper import Paper
from experiments.overparam.settings import ENCODERS, MATRIX, RESTARTED, SPACES, UPSAMPLED, W_PLUS
from experiments.overparam.values import Values


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

    def table(self, title: str, runs: Sequence[str], columns: Sequence[str], printed: bool = True) -> Table:
        """A row a run or inversion: ours, the best of a column marked, then the paper's."""
        headings = [self.paper.heading(column, self.results.scale) for column in columns]
        theirs = [f"{self.paper.heading(column, 'paper')} (paper)" for column in columns] if printed else []
        rows: list[tuple[str | Cell, ...]] = []
        for run in runs:
            numbers = [self.paper.value(run, column) for column in columns] if printed else []
            ours = (self.values.cell(run, column) for column in columns)
            rows.append((self.paper.title(run), *ours, *("" if n is None else f"{n:g}" for n in numbers)))
        return reduce(Table.mark_best, headings, Table(title, ("", *headings, *theirs), tuple(rows)))

    def cost(self, folder: Path) -> Table:
        """Table 4: time and memory."""
        file = folder / "results" / self.results.scale / "cost.json"
        cost = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
        rows: list[tuple[str | Cell, ...]] = []
        ours: dict[str, list[Cell]] = {}
        for run, printed in self.paper.content["table4"].items():
            trained = [r["train_seconds"] / r["kimg"] for (name, _), r in self.results.found.items() if name == run]
            step = [[cost[run]["seconds"] * 1e3], [cost[run]["megabytes"]]] if run in cost else [[], []]
            ours[run] = [Cell.of(values) for values in (trained, *step)]
            rows.append((run, *ours[run], f"{printed['seconds']:g}", f"{printed['memory']:g}"))
        ratios = [_ratio(a, b) for a, b in zip(ours["overparam"], ours["baseline"], strict=True)]
        printed = self.paper.content["table4"]
        theirs = [f"{printed['overparam'][c] / printed['baseline'][c]:.3f}" for c in ("seconds", "memory")]
        rows.append(("overparam / baseline", *ratios, *theirs))
        ours_called = ("seconds per kimg", "step, ms", "memory of a step, MB")
        columns = ("", *ours_called, "seconds per kimg (paper)", "memory, GB (paper)")
        return Table("Table 4: cost", columns, tuple(rows))

    def units(self) -> list[str]:
        """What the columns of Tables 2 and 3 are."""
        numbers = next(iter(self.values.inversions(MATRIX)), None)
        if numbers is None:
            return []
        count = len(numbers["pictures"])
        return [
            f"Distance and length of ways: {numbers['distance_of']}; squared error: mean over elements, pictures in "
            f"[-1, 1]; they are mean ± standard deviation over {count} held-out pictures. Fréchet distances "
            f"({numbers['frechet_of']}) are one number a model: {count} reconstructions or {numbers['midpoints']} "
            f"midpoints against {numbers['reference']} training pictures."
        ]


def all_tables(results: Results, paper: Paper, folder: Path) -> list[Noted]:
    """Every table."""
    layout = Layout(results, paper)
    general = (SMALL,) if results.scale == "cpu" else ()
    spaces = [setting.name for setting in SPACES]
    units = (*general, *layout.units())
    trained = (
        "Seconds per kimg: whole trainings with all phases and ADA, wall time of a machine with other work as well. "
        "Step: D and G without regularisers, alternating in one process, 32 px, 128 channels, batch 8; memory: by how "
        "much three steps raise the peak of a fresh process (`cost.py`)."
    )
    timed = "Seconds are those of the processor (with a GPU of the clock) for one picture in a batch of 20."
    runs = ("baseline", "overparam", "rho0", "own_per_layer")
    encoders = [setting.name for setting in (W_PLUS, MATRIX, *ENCODERS)]
    upsampled, restarted = ([s.name for s in settings] for settings in (UPSAMPLED, RESTARTED))
    columns = ("distance", "error", "midpoint_frechet", "seconds")
    return [
        Noted("table1", layout.table("Table 1: generation", runs, ("fid", "ppl")), general),
        Noted("table2", layout.table("Table 2: reconstructions", spaces, ("distance", "error", "rec_frechet")), units),
        Noted("table3", layout.table("Table 3: interpolation", spaces, ("midpoint_frechet", "path")), units),
        Noted("table4", layout.cost(folder), (trained,)),
        Noted(
            "encoders",
            layout.table("An encoder into W, beside optimisation", encoders, columns, printed=False),
            (*units, timed),
        ),
        Noted(
            "upsampling",
            layout.table("Upsampling: distance of the small pictures", upsampled, ("distance",), printed=False),
            general,
        ),
        Noted(
            "restarts",
            layout.table(
                "Restarts: reconstructions, and midpoints of two codes of one picture",
                restarted,
                ("distance", "between"),
                printed=False,
            ),
            general,
        ),
    ]


def _ratio(a: Cell, b: Cell) -> str:
    return f"{a.mean / b.mean:.3f}" if a.values and b.values else ""


def main(options: Options) -> None:
    """Prints and writes the tables."""
    results, paper = options.results(), Paper.load()
    show_tables(all_tables(results, paper, options.folder), results, options.output)


if __name__ == "__main__":
    command(main, __doc__)
