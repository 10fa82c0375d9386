"""experiments/compare: the table of all methods and their sheet, from results that are known."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf

from aestyle.entry import CONF
from aestyle.studies.showing import Options
from aestyle.studies.study import Study
from aestyle.studies.tables import MISSING, Cell
from experiments.compare import figures, speed
from experiments.compare import record as recording
from experiments.compare.tables import COLUMNS, MEAN_IMAGE, NOT_OFFERED, methods, table
from tests.experiments.recorded import new_study, write
from tests.helpers import ROOT, contents
from tests.tiny import METHODS, compose_tiny

STUDY = ROOT / "experiments" / "compare"


@pytest.fixture
def study(tmp_path: Path) -> Options:
    return new_study(tmp_path / "compare", STUDY)


def test_every_method_of_the_suite_is_there() -> None:
    variants = {name for name in METHODS if name.startswith("iaae_")}
    assert {job.run for job in Study.load(STUDY).jobs("cpu")} == set(METHODS) - variants


def test_what_is_shown_is_measured() -> None:
    (measured,) = Study.load(STUDY).scales["cpu"].metrics
    recipes = set(OmegaConf.load(CONF / "metrics" / f"{measured}.yaml").defaults)
    assert {column.metric for column in COLUMNS if column.metric} | {MEAN_IMAGE} <= recipes


def test_missing_runs_and_metrics_without_meaning_are_told_apart(study: Options) -> None:
    metrics = {column.metric: 1.0 for column in COLUMNS if column.metric}
    write(study, "aae", 0, {**metrics, MEAN_IMAGE: 0.25, "rec_mse": 0.125})
    without = {name: value for name, value in metrics.items() if name != "rec_mse"}
    write(study, "stylegan2", 0, {**without, "fd_efflite0": 0.5}, not_measured={"rec_mse": "no encoder"})
    found = {row[0]: dict(zip(table(study.results()).columns, row, strict=True)) for row in table(study.results()).rows}
    assert found["stylegan2"]["MSE ↓"] == NOT_OFFERED
    assert found["aae"]["MSE ↓"] == Cell((0.125,), best=True)
    assert found["stylegan2"]["FD of samples ↓"] == Cell((0.5,), best=True)
    assert found["aae"]["parameters, millions ↓"] == Cell((1234 / 1e6,), best=True)
    assert found["pioneer"]["MSE ↓"] == MISSING
    assert found["mean image"]["MSE ↓"] == Cell((0.25,))


def test_the_sheet_has_places_for_reconstructions_that_cannot_be(study: Options, monkeypatch, tmp_path: Path) -> None:
    for method in ("stylegan2", "pioneer"):
        write(study, method, 0, {})
        (study.folder / "runs" / "cpu" / f"{method}-seed0").mkdir(parents=True)

    def load(folder: Path) -> torch.nn.Module:
        method = folder.name.partition("-")[0]
        return instantiate(compose_tiny(f"method={method}", "dataset=orl_faces").method, _convert_="all").eval()

    monkeypatch.setattr(figures, "load", load)
    monkeypatch.setattr(figures, "pictures_of", lambda folder, count, split="test": torch.rand(count, 1, 8, 8))
    sheet = figures.draw_methods(study.results())
    there = np.array([[cell is not None for cell in row] for row in sheet.cells])
    assert sheet.rows == ["real", "stylegan2", "pioneer"]
    assert there[:, figures.RECONSTRUCTIONS :].all()
    assert there[:, : figures.RECONSTRUCTIONS].all(axis=1).tolist() == [True, False, True]
    assert not there[1, : figures.RECONSTRUCTIONS].any()


def test_speed_is_measured_once_for_each_training(study: Options, monkeypatch) -> None:
    asked: list[str] = []

    def measured(run_dir: Path) -> dict[str, float | None]:
        asked.append(run_dir.name)
        return {"training": 3.0, "reconstruction": None, "sample": len(asked)}

    monkeypatch.setattr(speed, "speed", measured)
    for method in ("aae", "ali", "age"):
        write(study, method, 0, {})
    for method in ("aae", "ali"):
        (study.folder / "runs" / "cpu" / f"{method}-seed0").mkdir(parents=True)
    speed.main(study)
    write(study, "ali", 0, {}, config_hash="trained anew")
    entries = {row[0]: row[-3:] for row in table(study.results()).rows}
    assert entries["aae"] == (Cell((3.0,), best=True), NOT_OFFERED, Cell((1.0,), best=True))
    assert entries["ali"] == entries["age"] == (MISSING, MISSING, MISSING)
    speed.main(study)
    assert asked == ["aae-seed0", "ali-seed0", "ali-seed0"]


@pytest.mark.slow
@pytest.mark.parametrize("method", ["stylegan2", "aae", "progan_l1"])
def test_speed_of_a_tiny_model(monkeypatch, tmp_path: Path, method: str) -> None:
    cfg = compose_tiny(f"method={method}", "dataset=orl_faces")
    model = instantiate(cfg.method, _convert_="all").eval().requires_grad_(False)
    before = [parameter.clone() for parameter in next(iter(model.networks.values())).parameters()]
    monkeypatch.setattr(speed, "load_run", lambda run_dir: (model, cfg, None))
    found = speed.speed(tmp_path)
    assert found["reconstruction"] is None if method == "stylegan2" else (found["reconstruction"] or 0) > 0
    assert (found["training"] or 0) > (found["sample"] or 0) > 0
    after = next(iter(model.networks.values())).parameters()
    assert not all(torch.equal(a, b) for a, b in zip(before, after, strict=True))  # it was a training


def test_results_are_written_with_whatever_is_there(study: Options) -> None:
    write(study, "aae", 0, {column.metric: 1.0 for column in COLUMNS if column.metric})
    recording.main(study)
    first = contents(study.folder)
    recording.main(study)
    assert contents(study.folder) == first
    text = (study.folder / "RESULTS.md").read_text()
    assert "paper" not in text.replace("experiments/pioneer", "")
    assert all(f"| {method} |" in text for method in methods(study.results()))
    assert "Claims" not in text


def test_the_study_has_its_runs() -> None:
    assert len(Study.load(STUDY).jobs("cpu")) == 13
