"""Tables of results over seeds: for terminals, Markdown and CSV."""

import csv
import io
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from rich.table import Table as RichTable
from scipy.optimize import brentq
from scipy.stats import chi2, norm, t, ttest_ind_from_stats

MISSING = "missing"


@dataclass(frozen=True)
class Cell:
    """One quantity over seeds.

    Args:
        values: one for each seed; none if the runs are missing.
        best: whether it is shown as the best of its column.
    """

    values: tuple[float, ...] = ()
    best: bool = False

    @classmethod
    def of(cls, values: Sequence[float]) -> "Cell":
        """A cell of a list of values, such as ``Results.value`` gives."""
        return cls(tuple(map(float, values)))

    @property
    def mean(self) -> float:
        """Mean over seeds; NaN if there are none."""
        return float(np.mean(self.values)) if self.values else math.nan

    @property
    def std(self) -> float:
        """Sample standard deviation over seeds; NaN for fewer than two."""
        return float(np.std(self.values, ddof=1)) if len(self.values) > 1 else math.nan

    def __str__(self) -> str:
        """``0.123 ± 0.004 (3)``: mean, standard deviation, number of seeds."""
        if not self.values:
            return MISSING
        digits = max(_decimals(self.mean, 3), 0 if math.isnan(self.std) else _decimals(self.std, 1))
        spread = "" if math.isnan(self.std) else f" ± {self.std:.{digits}f}"
        return f"{self.mean:.{digits}f}{spread} ({len(self.values)})"


def _decimals(value: float, significant: int) -> int:
    """How many decimals show so many significant digits, at most 6."""
    if value == 0 or not math.isfinite(value):
        return 0
    return min(6, max(0, significant - 1 - math.floor(math.log10(abs(value)))))


@dataclass(frozen=True)
class Table:
    """Rows of text and quantities under headings.

    Args:
        title: heading of the whole.
        columns: headings.
        rows: as many entries each as there are columns.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str | Cell, ...], ...]

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(f"{self.title}: a row of {len(row)} entries under {len(self.columns)} headings")

    def mark_best(self, column: str, lower: bool = True) -> "Table":
        """The same table with the best mean of a column marked.

        Args:
            column: its heading.
            lower: whether lower is better.
        """
        at = self.columns.index(column)
        better: Callable[..., float] = min if lower else max
        means = [c.mean for row in self.rows if isinstance(c := row[at], Cell) and math.isfinite(c.mean)]
        best = better(means) if means else None
        rows = tuple(
            tuple(
                replace(cell, best=cell.mean == best) if i == at and isinstance(cell, Cell) else cell
                for i, cell in enumerate(row)
            )
            for row in self.rows
        )
        return replace(self, rows=rows)

    def to_markdown(self) -> str:
        """A heading and a pipe table; the best of a column is bold."""
        aligned = ("---:" if self._is_numeric(i) else "---" for i in range(len(self.columns)))
        lines = [self.columns, tuple(aligned), *(tuple(map(_markdown, row)) for row in self.rows)]
        return "\n".join([f"### {self.title}", "", *(f"| {' | '.join(line)} |" for line in lines)]) + "\n"

    def to_csv(self) -> str:
        """Comma-separated values; a column of quantities becomes mean, ``std`` and ``n``, with empty fields if missing.

        Numbers have all their digits.
        """
        numeric = [self._is_numeric(i) for i in range(len(self.columns))]
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        headings = zip(self.columns, numeric, strict=True)
        writer.writerow([h for name, n in headings for h in ((name, f"{name} std", f"{name} n") if n else (name,))])
        for row in self.rows:
            writer.writerow([f for cell, n in zip(row, numeric, strict=True) for f in _fields(cell, n)])
        return out.getvalue()

    def to_rich(self) -> RichTable:
        """For ``rich``'s console."""
        shown = RichTable(title=self.title)
        for i, column in enumerate(self.columns):
            shown.add_column(column, justify="right" if self._is_numeric(i) else "left")
        for row in self.rows:
            shown.add_row(*(f"[bold]{cell}[/]" if isinstance(cell, Cell) and cell.best else str(cell) for cell in row))
        return shown

    def write(self, folder: Path, name: str) -> list[Path]:
        """Writes ``<name>.md`` and ``<name>.csv``.

        Args:
            folder: made if it is not there.
            name: without ending.
        """
        folder.mkdir(parents=True, exist_ok=True)
        files = {folder / f"{name}.md": self.to_markdown(), folder / f"{name}.csv": self.to_csv()}
        for path, text in files.items():
            path.write_text(text, encoding="utf-8")
        return list(files)

    def _is_numeric(self, column: int) -> bool:
        return any(isinstance(row[column], Cell) for row in self.rows)


def _markdown(cell: str | Cell) -> str:
    text = str(cell).replace("|", "\\|")
    return f"**{text}**" if isinstance(cell, Cell) and cell.best else text


def _fields(cell: str | Cell, numeric: bool) -> list[str]:
    if isinstance(cell, str):
        return [cell, "", ""] if numeric else [cell]
    n = len(cell.values)
    return [*("" if math.isnan(number) else repr(number) for number in (cell.mean, cell.std)), str(n)]


def welch(a: Sequence[float], b: Sequence[float]) -> float:
    """Two-sided p value of Welch's t-test: whether two means differ, with unequal variances.

    Args:
        a: values over seeds.
        b: likewise; not necessarily as many.

    Returns:
        NaN where one side has fewer than two values.
    """
    if min(len(a), len(b)) < 2:
        return math.nan
    sides = ((float(np.mean(x)), float(np.std(x, ddof=1)), len(x)) for x in (a, b))
    return float(ttest_ind_from_stats(*next(sides), *next(sides), equal_var=False).pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """P values of several tests, corrected by Holm's method: how likely any so small one is, were there no effects.

    Args:
        p_values: NaN ones are left alone and do not count.
    """
    known = sorted((p, i) for i, p in enumerate(p_values) if not math.isnan(p))
    corrected, largest = list(p_values), 0.0
    for rank, (p, i) in enumerate(known):
        largest = max(largest, min(1.0, p * (len(known) - rank)))
        corrected[i] = largest
    return corrected


def detectable(a: Sequence[float], b: Sequence[float], power: float = 0.8, significance: float = 0.05) -> float:
    """The difference of means that Welch's t-test would find with this probability, given the scatter of the values.

    Args:
        a: values over seeds.
        b: likewise.
        power: probability of finding it.
        significance: a p below this is a find.

    Returns:
        NaN where one side has fewer than two values or none scatters.
    """
    if min(len(a), len(b)) < 2 or np.ptp(a) == np.ptp(b) == 0:
        return math.nan
    parts = [float(np.var(x, ddof=1)) / len(x) for x in (a, b)]
    error = math.sqrt(sum(parts))
    freedom = sum(parts) ** 2 / sum(part**2 / (len(x) - 1) for part, x in zip(parts, (a, b), strict=True))
    critical = float(t.isf(significance / 2, freedom))
    scatter = critical * np.sqrt(chi2.ppf((np.arange(2000) + 0.5) / 2000, freedom) / freedom)  # as often under as over

    def excess(effect: float) -> float:
        return float((norm.cdf(effect - scatter) + norm.cdf(-effect - scatter)).mean()) - power

    return error * float(brentq(excess, 0, 100 * critical))
