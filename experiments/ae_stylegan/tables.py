"""Tables 1 to 5 from the recorded results, beside the paper's numbers.

``python -m experiments.ae_stylegan.tables --scale cpu`` (from the top of the checkout) prints them and writes Markdown
and CSV into ``experiments/ae_stylegan/out/<scale>/``. Our entries are mean ± standard deviation over seeds (how many);
the best of what stands to be compared is bold.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce
from itertools import product

from aestyle.studies.recording import Noted, show_tables
from aestyle.studies.results import Results
from aestyle.studies.tables import Cell, Table
from experiments.ae_stylegan.options import Options, command
from experiments.ae_stylegan.paper import Paper
from experiments.notes import SMALL

ENCODERS = ("alae", "joint_w", "joint_w_plus")
MODELS = ("stylegan2", *ENCODERS)

UNITS = (
    "The paper does not define its MSE and VGG columns: compare ratios between models, not the numbers themselves. "
    "The paper measures training pictures; columns that are called held-out are pictures that no model was trained on. "
    "Other units are in everything.csv."
)


@dataclass(frozen=True)
class Layout:
    """Where the entries of all tables come from.

    Args:
        results: the recorded runs.
        paper: the paper's numbers.
        scale: ``cpu`` or ``paper``.
    """

    results: Results
    paper: Paper
    scale: str

    def ours(self, run: str, column: str) -> Cell:
        """A quantity of a run over seeds."""
        return Cell.of(self.results.value(run, self.paper.metric(column, self.scale)))

    def by_dataset(self, name: str, title: str, models: Sequence[str], columns: Sequence[str], digits: int) -> Table:
        """One row a data set: ours and, where it has the same one, the paper's below; then the rest of the paper's."""
        printed, ours = self.paper.content[name], self.paper.datasets(self.scale)
        pairs = list(product(models, columns))
        headings = [f"{self.paper.title(model)} {self.paper.heading(c, self.scale)}" for model, c in pairs]
        rows: list[tuple[str | Cell, ...]] = []
        for data in [*ours, *(data for data in printed if data not in ours)]:
            if data in ours:
                cells = [self.ours(f"{model}-{data}", column) for model, column in pairs]
                rows.append((f"{self.paper.title(data)}, ours", *self._mark_best(cells, columns)))
            if data in printed:
                numbers = (_printed(printed[data][model], column, digits) for model, column in pairs)
                rows.append((f"{self.paper.title(data)}, paper", *numbers))
        return Table(title, ("data set", *headings), tuple(rows))

    def _mark_best(self, cells: Sequence[Cell], columns: Sequence[str]) -> list[Cell]:
        """Cells of one row, those of the columns in turn, with the best model of each column marked."""
        marked = list(cells)
        for first, column in enumerate(columns):
            sign = 1 if self.paper.is_lower_better(column) else -1
            found = [i for i in range(first, len(cells), len(columns)) if cells[i].values]
            if found:
                best = min(found, key=lambda i: sign * cells[i].mean)
                marked[best] = replace(cells[best], best=True)
        return marked

    def ablation(self) -> Table:
        """Table 4: one row a run."""
        printed = self.paper.content["table4"]
        rows: list[tuple[str | Cell, ...]] = []
        for run, numbers in printed.items():
            design, generator, steps = run.split("_")
            said = ("yes" if design == "decoupled" else "no", "yes" if generator == "joint" else "no", steps)
            ours = [self.ours(run, column) for column in ("fid", "mse", "mse_held_out")]
            rows.append((*said, *ours, *(f"{numbers[column]:.3f}" for column in ("fid", "mse"))))
        headings = [f"{self.paper.heading(column, self.scale)}" for column in ("fid", "mse", "mse_held_out")]
        columns = ("decoupled D", "joint G", "E steps", *headings, "FID in the paper", "MSE in the paper")
        table = Table("Table 4: ablation", columns, tuple(rows))
        return reduce(Table.mark_best, headings, table)

    def adaptive_weight(self) -> Table:
        """Table 5: without and with the adaptive weight."""
        printed, main = self.paper.content["table5"], self.paper.main_dataset(self.scale)
        runs = {name: name if name.endswith("_nobeta") else f"{name}-{main}" for name in printed}
        rows: list[tuple[str | Cell, ...]] = []
        for column in ("fid", "mse", "mse_held_out"):
            cells = self._mark_best([self.ours(run, column) for run in runs.values()], [column])
            rows.append((f"{self.paper.heading(column, self.scale)}, ours", *cells))
            if column in printed["joint_w"]:
                rows.append((f"{column.upper()}, paper", *(f"{numbers[column]:.3f}" for numbers in printed.values())))
        columns = ("", "W without β", "W with β", "W+ without β", "W+ with β")
        return Table(f"Table 5: adaptive weight β ({self.paper.title(main)})", columns, tuple(rows))


def _printed(numbers: dict[str, float], column: str, digits: int) -> str:
    return f"{numbers[column]:.{digits}f}" if column in numbers else ""


def all_tables(results: Results, paper: Paper, scale: str) -> list[Noted]:
    """Tables 1 to 5."""
    layout = Layout(results, paper, scale)
    general = (SMALL,) if scale == "cpu" else ()
    diversity = (
        "The paper does not define its LPIPS either: ours is the mean distance between two samples (higher is more "
        "diverse), by our own protocol."
    )
    paths = (
        "Measured in W between two codes of the mapping network, end points and anywhere between them; the paper does "
        "not give its protocol. Shorter is called better; samples that all look alike have the shortest."
    )
    voxceleb = "The paper's runs are VoxCeleb2 at 64 px, 20,000 iterations."
    by_dataset = layout.by_dataset
    return [
        Noted(
            "table1",
            by_dataset("table1", "Table 1: distance and diversity of samples", MODELS, ("fid", "lpips"), 3),
            (*general, diversity),
        ),
        Noted(
            "table2",
            by_dataset("table2", "Table 2: perceptual path length", MODELS, ("ppl_full", "ppl_end"), 2),
            (*general, paths),
        ),
        Noted(
            "table3",
            by_dataset("table3", "Table 3: reconstructions", ENCODERS, ("vgg", "mse", "mse_held_out", "rec_fid"), 2),
            (*general, UNITS),
        ),
        Noted("table4", layout.ablation(), (*general, voxceleb, UNITS)),
        Noted("table5", layout.adaptive_weight(), (*general, "The paper's runs are FFHQ at 128 px.", UNITS)),
    ]


def main(options: Options) -> None:
    """Prints and writes the tables."""
    results, paper = options.results(), Paper.load()
    show_tables(all_tables(results, paper, options.scale), results, options.output)


if __name__ == "__main__":
    command(main, __doc__)
