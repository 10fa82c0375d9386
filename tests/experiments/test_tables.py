"""Tables 1 to 5, and RESULTS.md, from results that are known."""

import csv
import re

import numpy as np
import pytest

from aestyle.studies.recording import cost
from aestyle.studies.showing import Options
from aestyle.studies.tables import MISSING, Cell, Table
from experiments.ae_stylegan import record as recording
from experiments.ae_stylegan.tables import all_tables, main
from tests.experiments.recorded import METRICS, PAPER, SCALE, drawn, record, runs_of, write
from tests.helpers import contents

MODELS = ("stylegan2", "alae", "joint_w", "joint_w_plus")


def tables(options: Options) -> dict[str, Table]:
    return {noted.name: noted.table for noted in all_tables(options.results(), PAPER, SCALE)}


def row(table: Table, *beginning: str) -> tuple[str | Cell, ...]:
    return next(row for row in table.rows if row[: len(beginning)] == beginning)


def assert_shows(cell: str | Cell, values: list[float]) -> None:
    assert isinstance(cell, Cell)
    assert cell.mean == pytest.approx(sum(values) / len(values))
    variance = sum((v - cell.mean) ** 2 for v in values) / (len(values) - 1)
    assert cell.std == pytest.approx(variance**0.5)
    assert str(cell).endswith(f"({len(values)})")


def test_tables_1_to_3_hold_each_run_in_its_place(study: Options, random: np.random.Generator) -> None:
    values = drawn(random, runs_of(study))
    record(study, values)
    made = tables(study)
    layout = {
        "table1": (MODELS, ("fid", "lpips")),
        "table2": (MODELS, ("ppl_full", "ppl_end")),
        "table3": (MODELS[1:], ("vgg", "mse", "mse_held_out", "rec_fid")),
    }
    for name, (models, columns) in layout.items():
        for data in PAPER.datasets(SCALE):
            cells = iter(row(made[name], f"{PAPER.title(data)}, ours")[1:])
            for model in models:
                for column in columns:
                    assert_shows(next(cells), values[f"{model}-{data}"][column])
        assert [r[0] for r in made[name].rows][2:] == [
            "FFHQ, paper",
            "AFHQ, paper",
            "MetFaces, paper",
            "LSUN Church, paper",
        ]


def test_the_paper_s_numbers_are_shown_as_printed(study: Options) -> None:
    made = tables(study)
    assert row(made["table1"], "MetFaces, paper")[5:7] == ("29.710", "0.469")
    assert row(made["table2"], "FFHQ, paper")[3] == "192.60"
    assert row(made["table3"], "MetFaces, paper")[5:9] == ("0.05", "13.48", "", "27.38")
    assert row(made["table4"], "no", "yes", "4")[-2:] == ("36.602", "5.924")
    assert row(made["table5"], "FID, paper")[1:] == ("8.620", "8.177", "8.241", "7.941")


def test_the_best_of_a_row_is_marked(study: Options, random: np.random.Generator) -> None:
    values = drawn(random, runs_of(study))
    record(study, values)
    cells = row(tables(study)["table1"], "Emoji, ours")[1:]
    best = {c: [sum(values[f"{m}-emoji"][c]) for m in MODELS] for c in ("fid", "lpips")}
    wanted = {2 * int(np.argmin(best["fid"])), 2 * int(np.argmax(best["lpips"])) + 1}
    assert {i for i, cell in enumerate(cells) if isinstance(cell, Cell) and cell.best} == wanted


def test_tables_4_and_5(study: Options, random: np.random.Generator) -> None:
    values = drawn(random, runs_of(study))
    record(study, values)
    made = tables(study)
    for design, said in (("decoupled", "yes"), ("shared", "no")):
        for generator, is_joint in (("joint", "yes"), ("frozen", "no")):
            for steps in ("1", "4"):
                cells = row(made["table4"], said, is_joint, steps)[3:6]
                for cell, column in zip(cells, ("fid", "mse", "mse_held_out"), strict=True):
                    assert_shows(cell, values[f"{design}_{generator}_{steps}"][column])
    for column, title in (("fid", "FD ↓"), ("mse", "MSE ↓"), ("mse_held_out", "held-out MSE ↓")):
        cells = row(made["table5"], f"{title}, ours")[1:]
        runs = ("joint_w_nobeta", "joint_w-emoji", "joint_w_plus_nobeta", "joint_w_plus-emoji")
        for cell, run in zip(cells, runs, strict=True):
            assert_shows(cell, values[run][column])


def test_what_is_missing_is_said(study: Options, random: np.random.Generator) -> None:
    record(study, drawn(random, ["alae-emoji"], ["fid"], seeds=1))
    cells = row(tables(study)["table1"], "Emoji, ours")[1:]
    assert [str(cell) == MISSING for cell in cells] == [i != 2 for i in range(8)]
    assert str(cells[2]).endswith(" (1)")


def test_the_command_writes_markdown_and_csv(study: Options, random: np.random.Generator) -> None:
    values = drawn(random, runs_of(study))
    record(study, values)
    main(study)
    with (study.output / "table4.csv").open() as file:
        line = next(
            r for r in csv.DictReader(file) if (r["decoupled D"], r["joint G"], r["E steps"]) == ("no", "yes", "4")
        )
    assert float(line["MSE ↓"]) == pytest.approx(np.mean(values["shared_joint_4"]["mse"]))
    assert line["MSE in the paper"] == "5.924"
    assert "VoxCeleb2" in (study.output / "table4.md").read_text()
    with (study.output / "everything.csv").open() as file:
        everything = {(r["run"], r["metric"]): float(r["value"]) for r in csv.DictReader(file)}
    assert everything["official", METRICS["rec_fid"]] == pytest.approx(np.mean(values["official"]["rec_fid"]))


class TestResults:
    def test_says_what_was_spent_and_counts_a_shared_run_once(self, study: Options) -> None:
        write(study, "shared_joint_1", 0, {}, train_seconds=3600, evaluate_seconds=1800)
        write(
            study,
            "joint_w_plus_nobeta",
            0,
            {},
            train_seconds=3600,
            evaluate_seconds=1800,
            folder="shared_joint_1-seed0",
        )
        write(study, "official", 1, {}, train_seconds=7200, evaluate_seconds=0)
        said = cost(study.results())
        assert said.startswith("2 trainings took 3.0 hours, their evaluation 0.5 hours on abacus")

    def test_is_made_anew_without_losing_the_analysis(self, study: Options, random: np.random.Generator) -> None:
        record(study, drawn(random, ["official"]))
        (study.folder / "ANALYSIS.md").write_text("## What I think\n\nIt depends.\n")
        recording.main(study)
        first = contents(study.folder)
        recording.main(study)
        assert contents(study.folder) == first
        text = (study.folder / "RESULTS.md").read_text()
        assert "It depends." in text
        assert f"Missing: {runs_of(study)[0]}-seed0" in text
        assert str(study.folder) not in text
        for title in ("Table 1", "Table 2", "Table 3", "Table 4", "Table 5", "Claims", "Runs"):
            assert f"### {title}" in text

    def test_shows_only_pictures_that_are_there(self, study: Options, random: np.random.Generator) -> None:
        record(study, drawn(random, runs_of(study)))
        recording.main(study)
        text = (study.folder / "RESULTS.md").read_text()
        shown = re.findall(r"!\[.*\]\((.*)\)", text)
        assert "out/cpu/table4.png" in shown  # needs the result files only
        assert not any("figure" in path for path in shown)  # no run folder is here
        assert all((study.folder / path).exists() for path in shown)

    def test_of_nothing(self, study: Options) -> None:
        recording.main(study)
        text = (study.folder / "RESULTS.md").read_text()
        assert "0 trainings took 0.0 hours" in text
        assert "None has been drawn yet." in text
