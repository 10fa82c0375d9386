"""experiments/iaae: the paper's numbers, and tables, figures and RESULTS.md from results that are known."""

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest

from aestyle.studies.claims import Verdict, judge
from aestyle.studies.figures import MissingRunError
from aestyle.studies.showing import Options
from aestyle.studies.study import Study
from aestyle.studies.tables import Cell, Table
from experiments.iaae import record as recording
from experiments.iaae.figures import draw_curves, draw_histograms
from experiments.iaae.paper import MODELS, VARIANTS, Paper
from experiments.iaae.statements import all_claims
from experiments.iaae.tables import SWEEPS, Course, Layout
from tests.experiments.recorded import new_study, write
from tests.helpers import ROOT, choices, contents

STUDY = ROOT / "experiments" / "iaae"
PAPER = Paper.load()
SCALES = ("cpu", "paper")


@pytest.fixture
def iaae(tmp_path: Path) -> Options:
    return new_study(tmp_path / "iaae", STUDY)


def record_means(options: Options, column: str, means: dict[str, float], seeds: int = 3, noise: float = 0.01) -> Layout:
    """Results with values scattered by a hundredth around these means."""
    random = np.random.default_rng(3)
    for run, mean in means.items():
        for seed in range(seeds):
            write(options, run, seed, {PAPER.metric(column, "cpu"): mean * random.normal(1, noise)})
    return Layout(options.results(), PAPER)


def row(table: Table, *beginning: str) -> tuple[str | Cell, ...]:
    return next(row for row in table.rows if row[: len(beginning)] == beginning)


class TestThePaper:
    def test_every_cell_of_its_tables_is_there(self) -> None:
        for data in PAPER.datasets("paper"):
            for model in ("aae", *VARIANTS):
                assert all((PAPER.value(f"{model}-{data}", column) or 0) > 1 for column in ("fid", "is"))
        assert PAPER.value("iaae-emnist", "fid") is None
        assert PAPER.value("aae-emnist", "mse") is None

    def test_the_kld_loss_without_effect_differs_from_aae_by_2_25_on_average(self) -> None:
        def fid(run: str) -> float:
            return PAPER.value(run, "fid") or math.nan

        noise = [fid(f"kld_loss-{data}") - fid(f"aae-{data}") for data in PAPER.datasets("paper")]
        assert math.sqrt(np.mean(np.square(noise))) == pytest.approx(2.25, abs=0.01)

    def test_ours_stand_beside_the_same_pictures(self) -> None:
        assert PAPER.table_of("mnist") == PAPER.table_of("mnist_full") == "Table 3"
        assert PAPER.value("n_iter-mnist", "fid") == 68.92


@pytest.mark.parametrize("scale", SCALES)
class TestTheStudyHasWhatIsCompared:
    def test_runs(self, scale: str) -> None:
        known = {job.run for job in Study.load(STUDY).jobs(scale)}
        layout = Layout(Options(scale, None, STUDY).results(), PAPER)
        needed = {f"{model}-{data}" for model in MODELS for data in layout.sets}
        needed |= {layout._swept(run, layout.sets[0]) for settings in SWEEPS.values() for run in settings.values()}
        for claim in all_claims(PAPER, scale):
            needed.update(run for below in claim.comparisons for run in (*below.a.runs, *below.b.runs))
        assert needed <= known

    def test_data_sets_in_this_order(self, scale: str) -> None:
        assert PAPER.datasets(scale) == list(Study.load(STUDY).scales[scale].datasets)

    def test_metrics(self, scale: str) -> None:
        assert {PAPER.metric(column, scale) for column in PAPER.content["columns"]} <= set(choices("metrics"))


class TestTables:
    def test_differences_beyond_noise_are_told_from_others(self, iaae: Options) -> None:
        means = {f"{model}-mnist": 100.0 for model in MODELS} | {"n_iter-mnist": 80.0, "feature-mnist": 120.0}
        table = record_means(iaae, "fid", means).differences("mnist")
        verdicts = {str(r[0]): r[4] for r in table.rows}
        assert verdicts["n-iter"] == "better"
        assert verdicts["feature"] == "worse"
        assert verdicts["latent mapping"] == "not more than noise"
        assert float(str(row(table, "n-iter")[1]).split()[0]) == pytest.approx(-20, abs=2)
        assert row(table, "n-iter")[6] == "-6.9 %"  # 68.92 and 74.041

    def test_a_missing_run_is_said(self, iaae: Options) -> None:
        table = record_means(iaae, "fid", {"aae-mnist": 1.0}).differences("mnist")
        assert {r[4] for r in table.rows} == {"missing"}

    def test_the_course_of_sigma(self) -> None:
        curve = [[0, 0.1], [10, 0.4], [20, 0.3], [30, 0.19], [40, 0.25]]
        found = Course.of({"curves": {"latent_sigma": curve}}, 0.5)
        assert found == Course(peak=0.4, at=5.0, half=15.0, end=0.25)
        never = Course.of({"curves": {"latent_sigma": [[0, 0.1], [5, 0.2]]}}, 1.0)
        assert never is not None
        assert math.isinf(never.half)
        assert Course.of({}, 1.0) is None

    def test_a_kld_loss_with_an_effect_would_show(self, iaae: Options) -> None:
        for run, sigma in (("aae-mnist", 0.5), ("kld_legacy", 0.5)):
            write(iaae, run, 0, {"latent_sigma": sigma, "rec_mse": 0.25}, curves={"rec_mse": [[0, 1.0]]})
        assert Layout(iaae.results(), PAPER).legacy().rows == (("0", "2 of 2", "yes"),)
        write(iaae, "kld_legacy", 0, {"latent_sigma": 0.5 + 1e-12, "rec_mse": 0.25}, curves={"rec_mse": [[0, 0.9]]})
        assert Layout(iaae.results(), PAPER).legacy().rows == (("0", "1 of 2", "no"),)


@pytest.mark.parametrize(("sigma", "verdict"), [(0.03, Verdict.HOLDS), (0.3, Verdict.FAILS), (0.1, Verdict.OPEN)])
def test_a_collapse_is_a_sigma_below_a_tenth(iaae: Options, sigma: float, verdict: Verdict) -> None:
    means = {f"aae-{data}": sigma for data in PAPER.datasets("cpu")}
    record_means(iaae, "sigma", means, noise=0.02)
    for data in PAPER.datasets("cpu"):
        for seed in range(3):
            write(iaae, f"sigma_fixed-{data}", seed, {"latent_sigma": 0.1})
    claim = next(c for c in all_claims(PAPER, "cpu") if "sigma collapses in AAE" in c.statement)
    assert judge(claim, PAPER.by_seed(iaae.results(), "cpu")).verdict is verdict


class TestFigures:
    def test_curves_are_means_over_seeds_on_the_axis_of_epochs(self, iaae: Options) -> None:
        for seed, values in enumerate(([3.0, 1.0], [5.0, 2.0])):
            curve = [[90.13 * i, value] for i, value in enumerate(values)]
            write(iaae, "aae-mnist", seed, {}, curves={"fd_efflite0_px48_5k": curve})
        figure = draw_curves(iaae.results(), PAPER, "mnist", "fid", ["aae", "n_iter"])
        (line,) = figure.axes[0].lines
        assert np.allclose(line.get_xydata(), [[0, 4.0], [10, 1.5]])
        with pytest.raises(MissingRunError, match="fashion_mnist"):
            draw_curves(iaae.results(), PAPER, "fashion_mnist", "fid", ["aae"])

    def test_histograms_come_from_what_was_measured_along_the_training(self, iaae: Options) -> None:
        write(iaae, "aae-mnist", 0, {})
        folder = iaae.results().run_dir("aae-mnist", 0)
        folder.mkdir(parents=True)
        with pytest.raises(MissingRunError, match="no histogram"):
            draw_histograms(iaae.results(), PAPER, "mnist", ["aae"])
        histogram = {"low": -1.0, "high": 1.0, "counts": [1, 3, 2]}
        lines = [
            {"metric": metric, "kimg": kimg, "checkpoint": checkpoint, "histogram": histogram}
            for metric in ("latent_mu", "latent_sigma")
            for kimg, checkpoint in ((0.0, None), (9.013, None), (9.013, "last.ckpt"))
        ]
        (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        figure = draw_histograms(iaae.results(), PAPER, "mnist", ["aae"])
        assert [len(axes.lines) for axes in figure.axes] == [2, 2]
        assert [label.get_text() for label in figure.axes[1].get_yticklabels()] == ["1", "0"]


class TestResults:
    def test_is_made_anew_without_losing_the_analysis(self, iaae: Options) -> None:
        record_means(iaae, "fid", {"aae-mnist": 100.0, "n_iter-mnist": 80.0})
        (iaae.folder / "ANALYSIS.md").write_text("It depends.\n")
        recording.main(iaae)
        first = contents(iaae.folder)
        recording.main(iaae)
        assert contents(iaae.folder) == first
        text = (iaae.folder / "RESULTS.md").read_text()
        assert "It depends." in text
        assert str(iaae.folder) not in text
        for title in ("Table 3", "Table 5", "against AAE's", "Claims", "Runs"):
            assert title in text
        shown = re.findall(r"!\[.*\]\((.*)\)", text)
        assert all((iaae.folder / path).exists() for path in shown)
