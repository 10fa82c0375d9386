"""Tables against numbers computed by hand."""

import csv
import io
import math
import random
import statistics
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from scipy.stats import t, ttest_ind

from aestyle.studies.tables import Cell, Table, detectable, holm, welch


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ([0.119, 0.123, 0.127], "0.123 ± 0.004 (3)"),
        ([26.0, 26.2], "26.1 ± 0.1 (2)"),
        ([0.12340, 0.12341], "0.123405 ± 0.000007 (2)"),
        ([1234.4], "1234 (1)"),
        ([5.0, 5.0], "5.00 ± 0.00 (2)"),
        ([0.0], "0 (1)"),
        ([-0.5, -0.7], "-0.600 ± 0.141 (2)"),
        ([], "missing"),
    ],
)
def test_a_cell_shows_mean_deviation_and_number_of_seeds(values: list[float], shown: str) -> None:
    assert str(Cell.of(values)) == shown


def test_mean_and_sample_deviation() -> None:
    values = [random.gauss(3, 2) for _ in range(random.randint(2, 9))]
    assert Cell.of(values).mean == pytest.approx(statistics.mean(values))
    assert Cell.of(values).std == pytest.approx(statistics.stdev(values))


@pytest.fixture
def table() -> Table:
    rows = (("worse", Cell.of([2.0, 4.0])), ("better | b", Cell.of([1.0])), ("none", Cell()), ("text", "-"))
    return Table("A table", ("model", "MSE ↓"), rows)


def test_markdown_marks_the_best_and_says_what_is_missing(table: Table) -> None:
    assert table.mark_best("MSE ↓").to_markdown().splitlines() == [
        "### A table",
        "",
        "| model | MSE ↓ |",
        "| --- | ---: |",
        "| worse | 3.00 ± 1.41 (2) |",
        "| better \\| b | **1.00 (1)** |",
        "| none | missing |",
        "| text | - |",
    ]
    assert "**" not in table.to_markdown()


def test_the_best_may_be_the_highest_and_is_shared_by_equals(table: Table) -> None:
    best = [row[1].best for row in table.mark_best("MSE ↓", lower=False).rows if isinstance(row[1], Cell)]
    assert best == [True, False, False]
    equals = Table("t", ("x",), ((Cell.of([1.0]),), (Cell.of([0.0, 2.0]),), (Cell.of([2.0]),)))
    assert [row[0].best for row in equals.mark_best("x").rows if isinstance(row[0], Cell)] == [True, True, False]
    nothing = Table("t", ("x",), ((Cell(),),))
    assert nothing.mark_best("x") == nothing


def test_csv_has_all_digits_and_reads_back(table: Table) -> None:
    third = random.random() / 3
    rows = list(csv.reader(io.StringIO(Table("t", ("a, b", "x"), (("q", Cell.of([third])),)).to_csv())))
    assert rows == [["a, b", "x", "x std", "x n"], ["q", repr(third), "", "1"]]
    read = list(csv.reader(io.StringIO(table.to_csv())))
    assert read[1] == ["worse", "3.0", repr(math.sqrt(2)), "2"]
    assert read[3] == ["none", "", "", "0"]
    assert read[4] == ["text", "-", "", ""]


def test_a_terminal_shows_the_same_cells(table: Table) -> None:
    console = Console(file=io.StringIO(), width=100)
    console.print(table.to_rich())
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    for text in ("A table", "3.00 ± 1.41 (2)", "better | b", "missing"):
        assert text in shown


def test_a_table_is_written_as_markdown_and_csv(table: Table, tmp_path: Path) -> None:
    written = table.write(tmp_path / "new", "one")
    assert [path.name for path in written] == ["one.md", "one.csv"]
    assert written[0].read_text() == table.to_markdown()
    assert written[1].read_text() == table.to_csv()


def test_a_row_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="a row of 1 entries under 2 headings"):
        Table("t", ("a", "b"), (("x",),))


def test_welch_compares_means() -> None:
    a, b = [1.0, 2.0, 3.0], [3.0, 5.0, 7.0]  # means 2 and 5, variances 1 and 4
    error = math.sqrt(1 / 3 + 4 / 3)
    freedom = (1 / 3 + 4 / 3) ** 2 / ((1 / 3) ** 2 / 2 + (4 / 3) ** 2 / 2)
    assert welch(a, b) == pytest.approx(2 * t.sf(3 / error, freedom))
    assert welch(b, a) == pytest.approx(welch(a, b))
    shift = random.uniform(20, 30)
    assert welch(a, [x + shift for x in a]) < 0.001
    assert welch(a, a) == pytest.approx(1)
    assert math.isnan(welch([1.0], b))


def test_holm_s_correction_keeps_the_order_and_rejects_step_by_step() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, math.nan, 0.9])[::2] == pytest.approx([1.0, 1.0])
    p = [random.random() ** 3 for _ in range(random.randint(1, 9))]
    for level in (0.01, 0.05, 0.3):  # the procedure: stop at the first that is too large
        rejected: set[int] = set()
        for rank, i in enumerate(sorted(range(len(p)), key=lambda i: p[i])):
            if p[i] * (len(p) - rank) >= level:
                break
            rejected.add(i)
        assert {i for i, corrected in enumerate(holm(p)) if corrected < level} == rejected


def test_a_detectable_difference_is_found_four_times_in_five() -> None:
    generator = np.random.default_rng(0)
    a, b = generator.normal(0, 1, 3), generator.normal(0, 2, 5)
    difference = detectable(a.tolist(), b.tolist())
    many = [generator.normal(m, x.std(ddof=1), (20_000, len(x))) for m, x in ((difference, a), (0, b))]
    found = ttest_ind(*many, axis=1, equal_var=False).pvalue < 0.05
    assert found.mean() == pytest.approx(0.8, abs=0.06)  # degrees of freedom vary from draw to draw


def test_without_scatter_or_with_one_seed_nothing_is_known_of_power() -> None:
    assert math.isnan(detectable([1.0, 1.0], [2.0, 2.0]))
    assert math.isnan(detectable([1.0], [2.0, 3.0]))
