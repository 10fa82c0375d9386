"""experiments/pioneer: the paper's numbers; verdicts, tables, figures and RESULTS.md from results that are known."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from aestyle.entry import CONF
from aestyle.losses.encoder_game import moment_kl, sphere_kl_floor
from aestyle.studies.claims import Judgement, Verdict
from aestyle.studies.showing import Options
from aestyle.studies.study import Study
from aestyle.studies.tables import Cell, Table
from aestyle.studies.training import train as run_training
from experiments.pioneer import record as recording
from experiments.pioneer.claims import judge_all, printed_ratios
from experiments.pioneer.figures import all_pictures
from experiments.pioneer.paper import Paper
from experiments.pioneer.settings import GAMES, GROWTH, MAIN, METHODS, SAMPLES, SIZES, SPECTRAL
from experiments.pioneer.statements import all_claims
from experiments.pioneer.tables import all_tables
from experiments.pioneer.training import EXCESS, FAKE, GENERATED, REAL, batch_of, keep, kept, of_uniform_codes
from tests.experiments.recorded import new_study, write
from tests.helpers import ROOT, choices, contents
from tests.tiny import compose_tiny

STUDY = ROOT / "experiments" / "pioneer"
SCALES = ("cpu", "paper")
PAPER = Paper.load()
HOLDS, FAILS, OPEN = Verdict.HOLDS, Verdict.FAILS, Verdict.OPEN


@pytest.fixture
def study(tmp_path: Path) -> Options:
    return new_study(tmp_path / "pioneer", STUDY)


def metrics_of(column: str, scale: str) -> set[str]:
    told = PAPER.content["columns"][column][scale]
    return {told[key] for key in ("metric", "per") if key in told}


def record(options: Options, random: np.random.Generator, **metrics: dict[str, float]) -> None:
    """Results of every run: 1 in every metric but those given as metric, run, value; scattered by a hundredth."""
    every = {metric for column in PAPER.content["columns"] for metric in metrics_of(column, "cpu")}
    for job in options.results().jobs:
        around = {metric: metrics.get(metric, {}).get(job.run, 1.0) for metric in every}
        write(options, job.run, job.seed, {m: value * random.normal(1, 0.01) for m, value in around.items()})


def train(options: Options, run: str, seed: int, real: float, fake: float) -> None:
    """Statistics of a training in a run folder: E pulls codes of real images from twice ``real`` to it."""
    assert options.runs
    folder = options.runs / "cpu" / f"{run}-seed{seed}"
    folder.mkdir(parents=True, exist_ok=True)
    floor = 1.5 + 1e-4 * seed
    lines = [
        {"kimg": i, REAL: floor + excess, EXCESS: excess, FAKE: floor + fake, GENERATED: floor + 1, "score/cosine": 0.5}
        for i, excess in enumerate(np.linspace(2 * real, real, 20))
    ]
    (folder / "stats.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def verdict(options: Options, words: str) -> Judgement:
    return next(j for j in judge_all(options.results(), PAPER) if words in j.claim.statement)


class TestThePaper:
    def test_every_cell_of_its_table_is_there(self) -> None:
        for run in (*METHODS, "age_128", "pioneer_128"):
            assert all((PAPER.value(run, column) or 0) > 1 for column in ("fid", "swd", "rmse"))
        assert PAPER.text("age_128", "fid") == "154.79 ± 0.43"
        assert PAPER.text("lsun_128", "fid") == "37.50"
        assert (PAPER.value("ali_128", "fid"), PAPER.text("lsun_128", "swd")) == (None, "")

    def test_its_own_ratios(self) -> None:
        said = dict(zip((c.statement for c in all_claims("cpu")), printed_ratios(PAPER, "cpu"), strict=True))
        ratios = {words: next(said[s] for s in said if words in s) for words in ("far behind", "nearer to the data")}
        assert ratios["far behind"] == "1.01 to 1.46, 2 of 2 as claimed"
        assert ratios["nearer to the data"].endswith("4 of 4 as claimed")


def test_statements_are_those_of_the_protocol() -> None:
    numbered = re.findall(r"^(\d+)\. ", (STUDY / "PROTOCOL.md").read_text(), flags=re.MULTILINE)
    assert [int(number) for number in numbered] == list(range(1, len(all_claims("paper")) + 1))
    assert len(all_claims("cpu")) == len(numbered) - 1


@pytest.mark.parametrize("scale", SCALES)
class TestTheStudyHasWhatIsShown:
    def test_runs(self, scale: str) -> None:
        needed = {MAIN[scale], *SPECTRAL[scale], *GROWTH[scale], *METHODS, *GAMES}
        needed |= {run for runs in SIZES[scale].values() for run in runs} | {run for _, run in SAMPLES[scale].values()}
        for claim in all_claims(scale):
            needed.update(run for below in claim.comparisons for run in (*below.a.runs, *below.b.runs))
        assert needed <= {job.run for job in Study.load(STUDY).jobs(scale)}

    def test_metrics(self, scale: str) -> None:
        needed = {metric for column in PAPER.content["columns"] for metric in metrics_of(column, scale)}
        (measured,) = Study.load(STUDY).scales[scale].metrics
        assert needed <= set(OmegaConf.load(CONF / "metrics" / f"{measured}.yaml").defaults) <= set(choices("metrics"))


class TestDivergences:
    @pytest.mark.parametrize("batch", [8, 16, 32])
    def test_a_batch_of_uniform_codes_is_above_the_floor(self, batch: int) -> None:
        codes = torch.nn.functional.normalize(torch.randn(400, batch, 128, dtype=torch.float64), dim=-1)
        found = [moment_kl(c.mean(dim=0), c.var(dim=0, unbiased=False)) for c in codes]
        excess = float(torch.stack(found).mean()) - sphere_kl_floor(128)
        assert of_uniform_codes(batch) == pytest.approx(excess, rel=0.05)

    def test_the_batch_is_that_of_the_full_size(self, study: Options) -> None:
        config = {"resolution": 16, "batch_size": 8}
        write(study, "age", 0, {}, config=config)
        write(study, "pioneer", 0, {}, config={**config, "method.growth.batch_sizes.16": 24})
        found = [batch_of(study.results(), run) for run in ("age", "pioneer", "no_growth")]
        assert found == [8, 24, None]

    def test_curves_stay_when_the_run_folder_is_gone(self, study: Options) -> None:
        write(study, "age", 1, {})
        train(study, "age", 1, real=0.2, fake=0.5)
        keep(study.results())
        (study.results().run_dir("age", 1) / "stats.jsonl").unlink()
        keep(study.results())
        curves = kept(study.results(), "age")[1]
        assert np.allclose(curves[EXCESS], np.linspace(0.4, 0.2, 20), rtol=1e-4)
        write(study, "age", 1, {}, config_hash="another")
        assert kept(study.results(), "age") == {}

    @pytest.mark.parametrize(("real", "fake", "expected"), [(0.2, 0.5, HOLDS), (0.5, 0.2, FAILS)])
    def test_which_codes_are_nearer_to_the_prior(
        self, study: Options, random: np.random.Generator, real: float, fake: float, expected: Verdict
    ) -> None:
        for run in ("pioneer", "age"):
            for seed in range(3):
                write(study, run, seed, {})
                train(study, run, seed, real * random.normal(1, 0.01), fake * random.normal(1, 0.01))
        keep(study.results())
        assert verdict(study, "to the end").verdict is expected
        assert verdict(study, "approach the prior").verdict is HOLDS


class TestVerdicts:
    def test_nothing_is_decided_without_results(self, study: Options) -> None:
        for judgement in judge_all(study.results(), PAPER):
            assert judgement.verdict is OPEN
            assert "missing runs: " in judgement.reason

    @pytest.mark.parametrize(("own", "better", "much"), [(0.3, HOLDS, HOLDS), (0.7, HOLDS, FAILS), (1.4, FAILS, FAILS)])
    def test_own_samples(
        self, study: Options, random: np.random.Generator, own: float, better: Verdict, much: Verdict
    ) -> None:
        record(study, random, sample_rec_mse={"progan_l1": own})
        assert verdict(study, "its own samples better").verdict is better
        assert verdict(study, "much worse on real").verdict is much

    def test_samples_that_vary_less_are_seen_as_such(self, study: Options, random: np.random.Generator) -> None:
        record(study, random, sample_rec_mse={"progan_l1": 0.5}, sample_variance={"progan_l1": 0.2})
        judgement = verdict(study, "its own samples better")
        assert [outcome.verdict for outcome in judgement.outcomes] == [HOLDS, FAILS]
        assert judgement.outcomes[0].comparison.columns == "own_error, error"

    @pytest.mark.parametrize(("rmse", "any_", "half"), [(0.3, HOLDS, HOLDS), (0.8, HOLDS, FAILS), (1.3, FAILS, FAILS)])
    def test_reconstructions(
        self, study: Options, random: np.random.Generator, rmse: float, any_: Verdict, half: Verdict
    ) -> None:
        record(study, random, rec_rmse_255={"pioneer": rmse})
        assert verdict(study, "smaller error than ALI").verdict is any_
        assert verdict(study, "less than half the error").verdict is half

    @pytest.mark.parametrize(("error", "expected"), [(0.6**2, HOLDS), (0.8**2, FAILS)])
    def test_an_rmse_of_seven_tenths(
        self, study: Options, random: np.random.Generator, error: float, expected: Verdict
    ) -> None:
        record(study, random, rec_mse={"pioneer": error})
        assert verdict(study, "robust to train").verdict is expected


def test_tables_show_the_values_of_the_results(study: Options, random: np.random.Generator) -> None:
    record(study, random, rec_rmse_255={"age": 40.0}, sample_rec_mse={"age": 3.0}, mse_mean_image={"age": 4.0})
    tables: dict[str, Table] = {noted.name: noted.table for noted in all_tables(study.results(), PAPER)}
    entries = {name: dict(zip(tables[name].columns, _row(tables[name], "AGE"), strict=True)) for name in tables}
    expected = {"table1": ("RMSE (0 to 255) ↓", 40), "own_samples": ("squared error: own samples", 3)}
    for name, (column, value) in expected.items():
        cell = entries[name][column]
        assert isinstance(cell, Cell)
        assert cell.mean == pytest.approx(value, rel=0.03)
    share = entries["own_samples"]["squared error per variance of the pictures: held-out pictures"]
    assert isinstance(share, Cell)
    assert share.mean == pytest.approx(1 / 4, rel=0.05)
    assert entries["table1"]["RMSE in the paper"] == "4.97 ± 0.06"
    assert {row[-1] for row in tables["ablations"].rows} == {"3 of 3"}


def _row(table: Table, first: str) -> tuple[str | Cell, ...]:
    return next((row for row in table.rows if row[0] == first), ("",) * len(table.columns))


@pytest.mark.parametrize("scale", SCALES)
def test_results_are_written_with_whatever_is_there(study: Options, scale: str) -> None:
    options = Options(scale, study.runs, study.folder)
    recording.main(options)
    first = contents(study.folder)
    recording.main(options)
    assert contents(study.folder) == first
    text = (study.folder / ("RESULTS.md" if scale == "cpu" else "RESULTS_paper.md")).read_text()
    assert "Missing: pioneer-seed0" in text
    assert str(study.folder) not in text
    for part in SIZES[scale]:
        assert f"Table 1: {part}" in text


@pytest.mark.parametrize(("scale", "runs"), [("cpu", 18), ("paper", 12)])
def test_the_study_has_its_runs(scale: str, runs: int) -> None:
    assert len(Study.load(STUDY).jobs(scale)) == runs


@pytest.mark.slow
def test_every_figure_of_a_tiny_model(study: Options, tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    run_training(compose_tiny("method=pioneer", "dataset=orl_faces", "kimg=0.08"), run_dir)
    for run in {*METHODS, *(run for _, run in SAMPLES["cpu"].values())}:
        write(study, run, 0, {})
        folder = study.results().run_dir(run, 0)
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.symlink_to(run_dir)
    recording.main(study)
    output = study.folder / "out" / "cpu"
    assert {f"{p.name}.png" for p in all_pictures(study.results(), PAPER)} == {p.name for p in output.glob("*.png")}
    assert set(kept(study.results(), "pioneer")[0]) >= {REAL, FAKE, GENERATED, "health/resolution"}
