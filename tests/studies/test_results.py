"""Result files back into numbers."""

import json
import math
import random
import statistics
from pathlib import Path

import pytest

from aestyle.errors import UserError
from aestyle.studies.results import Results

STUDY = """
name: toy
scales:
  cpu: {seeds: [0, 1, 2]}
  paper: {seeds: [0]}
runs:
  a: {overrides: [method=joint_ae]}
  b: {overrides: [method=stylegan2], seeds: [0]}
  c: {overrides: [method=joint_ae], scales: [paper]}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "study.yaml").write_text(STUDY)
    (tmp_path / "results" / "cpu").mkdir(parents=True)
    return tmp_path


def record(folder: Path, run: str, seed: int, **metrics: float | None) -> None:
    content = {"config_hash": "x", "metrics": metrics, "folder": f"{run}-seed{seed}-abc"}
    (folder / "results" / "cpu" / f"{run}-seed{seed}.json").write_text(json.dumps(content))


def test_values_come_in_the_order_of_seeds_with_mean_and_sample_deviation(folder: Path) -> None:
    values = [random.gauss(0, 1) for _ in range(3)]
    for seed in random.sample(range(3), 3):
        record(folder, "a", seed, mse=values[seed])
    results = Results.load(folder, "cpu")
    assert results.value("a", "mse") == values
    assert results.by_seed("a", "mse") == dict(enumerate(values))
    assert results.mean_std("a", "mse") == pytest.approx((statistics.mean(values), statistics.stdev(values)))


def test_seeds_without_a_finite_value_are_left_out(folder: Path) -> None:
    record(folder, "a", 0, mse=None)
    record(folder, "a", 2, mse=0.5, other=1.0)
    results = Results.load(folder, "cpu")
    assert results.by_seed("a", "mse") == {2: 0.5}
    mean, std = results.mean_std("a", "mse")
    assert mean == 0.5
    assert math.isnan(std)
    assert results.value("b", "mse") == []
    assert all(map(math.isnan, results.mean_std("b", "mse")))


def test_what_is_missing_is_told_by_run_and_seed(folder: Path) -> None:
    record(folder, "a", 1, mse=0.5)
    results = Results.load(folder, "cpu")
    assert results.missing() == ["a-seed0", "a-seed2", "b-seed0"]
    assert results.missing(["b"]) == ["b-seed0"]
    assert results.missing(["c", "a"]) == ["c", "a-seed0", "a-seed2"]  # c is of another scale
    assert Results.load(folder, "paper").missing() == ["a-seed0", "b-seed0", "c-seed0"]


def test_a_seed_that_the_study_does_not_have_is_left_alone(folder: Path) -> None:
    record(folder, "a", 7, mse=0.5)
    assert Results.load(folder, "cpu").value("a", "mse") == []


def test_the_run_folder_is_told_by_the_result(folder: Path, tmp_path: Path) -> None:
    record(folder, "a", 1)
    assert Results.load(folder, "cpu").run_dir("a", 1) == Path("runs/toy/cpu/a-seed1-abc")
    assert Results.load(folder, "cpu", tmp_path / "r").run_dir("a", 1) == tmp_path / "r" / "cpu" / "a-seed1-abc"
    with pytest.raises(UserError, match=r"b-seed0 has no result at scale=cpu; run it with .*only=b"):
        Results.load(folder, "cpu").run_dir("b", 0)


@pytest.mark.parametrize("content", ["", "{", "[1]", '{"metrics": {}}', "\x00\xff"])
def test_a_broken_result_file_is_named(content: str, folder: Path) -> None:
    file = folder / "results" / "cpu" / "a-seed0.json"
    file.write_text(content, encoding="latin-1")
    with pytest.raises(UserError, match=r"a-seed0\.json: is no result file any more"):
        Results.load(folder, "cpu")
