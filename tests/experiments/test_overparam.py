"""The study of overparameterised StyleGAN: verdicts and tables from result files that no run wrote."""

import json
import math
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import t as student

from aestyle.studies.claims import Judgement, Verdict, compare_pairs
from aestyle.studies.showing import Options
from aestyle.studies.study import Study
from aestyle.studies.tables import Cell, Table
from aestyle.studies.training import train
from experiments.overparam import record as recording
from experiments.overparam.claims import judge_all
from experiments.overparam.inversions import find_codes, result_path, run_setting, targets_of
from experiments.overparam.paper import Paper
from experiments.overparam.settings import (
    JOINT,
    MATRIX,
    MATRIX_PLUS,
    RESTARTED,
    SETTINGS,
    UPSAMPLED,
    W_PLUS,
    How,
    Protocol,
    Setting,
    W,
)
from experiments.overparam.statements import all_claims
from experiments.overparam.tables import all_tables
from experiments.overparam.values import steps_to
from tests.experiments.recorded import write
from tests.helpers import ROOT
from tests.tiny import compose_tiny

STUDY = ROOT / "experiments" / "overparam"
HOLDS, FAILS, OPEN = Verdict.HOLDS, Verdict.FAILS, Verdict.OPEN
PICTURES, STEPS = 12, 20
PAPER = Paper.load()


@pytest.fixture
def study(tmp_path: Path) -> Options:
    shutil.copy(STUDY / "study.yaml", tmp_path)
    return Options("cpu", tmp_path / "runs", tmp_path)


def trained(options: Options, random: np.random.Generator, **fid: float) -> None:
    """Result files of every run; distances of samples scatter by a per mille around what is given."""
    for job in options.results().jobs:
        around = {"fid": fid.get(job.run, 100.0), "ppl": 10.0}
        metrics = {PAPER.metric(c, "cpu"): value * random.normal(1, 0.001) for c, value in around.items()}
        write(options, job.run, job.seed, metrics)


def invert(options: Options, random: np.random.Generator, setting: Setting, seed: int = 0, **ends: float) -> None:
    """A result file of an inversion: straight curves from 1 to a distance that scatters around ``distance``."""
    distance = ends.get("distance", 0.5) * random.normal(1, 0.01, PICTURES)
    curves = 1 + np.linspace(0, 1, STEPS // 5 + 1) * (distance[:, None] - 1)
    content: dict[str, Any] = {
        "seed": seed,
        "trained": f"{setting.run}{seed}",
        "steps": STEPS,
        "every": 5,
        "distance_of": "eyes",
        "frechet_of": "eyes",
        "pictures": [str(i) for i in range(PICTURES)],
        "distance": distance.tolist(),
        "error": (distance / 10).tolist(),
        "curves": curves.tolist(),
        "path": (ends.get("path", 1.0) * random.normal(1, 0.01, PICTURES)).tolist(),
        "between": (ends.get("between", 1.0) * random.normal(1, 0.01, PICTURES)).tolist(),
        "rec_frechet": ends.get("rec_frechet", 10.0),
        "midpoint_frechet": ends.get("midpoint_frechet", 10.0),
        "midpoints": 66,
        "reference": 340,
        "seconds": 1.5,
    }
    path = result_path(options.results(), setting, seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def verdict(options: Options, words: str) -> Judgement:
    return next(j for j in judge_all(options.results(), PAPER) if words in j.claim.statement)


def test_statements_are_those_of_the_protocol() -> None:
    numbered = re.findall(r"^(\d+)\. ", (STUDY / "PROTOCOL.md").read_text(), flags=re.MULTILINE)
    assert [int(number) for number in numbered] == list(range(1, len(all_claims()) + 1))


def test_pictures_are_compared_one_by_one() -> None:
    random = np.random.default_rng()
    for _ in range(50):
        a, b = random.normal(1, 0.3, 9), random.normal(1.5, 0.3, 9)
        bound = random.uniform(0.3, 1.5)
        found, p, _ = compare_pairs(a.tolist(), b.tolist(), bound)
        differences = a - bound * b
        t = differences.mean() / (differences.std(ddof=1) / math.sqrt(9))
        assert p == pytest.approx(2 * student.sf(abs(t), 8))
        assert found is (OPEN if p >= 0.05 else HOLDS if t < 0 else FAILS)
    assert compare_pairs([1.0, 2.0], [1.0, 2.0])[0] is OPEN
    assert compare_pairs([1.0, 2.0], [2.0, 3.0])[0] is HOLDS


def test_steps_to_a_distance() -> None:
    random = np.random.default_rng()
    curves, goal = random.uniform(0, 1, (30, 5)), random.uniform(0, 1, 30)
    expected = []
    for curve, end in zip(curves, goal, strict=True):
        steps = [i * 5 for i, value in enumerate(curve) if value <= end]
        expected.append(steps[0] if steps else 20)
    assert steps_to({"curves": curves.tolist(), "every": 5, "steps": 20}, goal.tolist()).tolist() == expected


def test_nothing_is_decided_without_results(study: Options) -> None:
    for judgement in judge_all(study.results(), PAPER):
        assert judgement.verdict is OPEN
        assert "missing runs: " in judgement.reason


@pytest.mark.parametrize(
    ("matrix", "vectors", "half", "at_all", "fast"),
    [(0.1, 0.85, HOLDS, HOLDS, HOLDS), (0.4, 0.5, FAILS, HOLDS, FAILS), (0.7, 0.5, FAILS, FAILS, FAILS)],
)
def test_reconstructions(
    study: Options, matrix: float, vectors: float, half: Verdict, at_all: Verdict, fast: Verdict
) -> None:
    random = np.random.default_rng()
    trained(study, random)
    invert(study, random, W_PLUS, distance=vectors)
    invert(study, random, MATRIX, distance=matrix)
    assert verdict(study, "less than half the distance").verdict is half
    assert verdict(study, "at all").verdict is at_all
    assert verdict(study, "where w+ ends in less than half the steps").verdict is fast


def test_models_are_compared_over_seeds(study: Options) -> None:
    random = np.random.default_rng()
    trained(study, random, rho0=150.0, own_per_layer=80.0)
    assert verdict(study, "ρ = 0").verdict is HOLDS
    assert verdict(study, "of their own per layer").verdict is FAILS
    for seed in range(3):
        invert(study, random, MATRIX, seed, midpoint_frechet=10.0 + 0.1 * seed)
        words = "extension to W+ harms"
        invert(study, random, MATRIX_PLUS, seed, midpoint_frechet=14.0 + 0.1 * seed)
        assert verdict(study, words).verdict is (HOLDS if seed else OPEN)


def test_an_inversion_of_another_training_does_not_count(study: Options) -> None:
    random = np.random.default_rng()
    trained(study, random)
    invert(study, random, W_PLUS)
    invert(study, random, W)
    assert "missing" not in verdict(study, "better than its w").reason
    write(study, "baseline", 0, {}, config_hash="changed")
    assert "missing runs: baseline-w_plus" in verdict(study, "better than its w").reason


def test_tables_show_the_values_of_the_results(study: Options) -> None:
    random = np.random.default_rng()
    trained(study, random)
    for setting in SETTINGS:
        invert(study, random, setting, distance=0.25, midpoint_frechet=7.5)
    tables: dict[str, Table] = {noted.name: noted.table for noted in all_tables(study.results(), PAPER, study.folder)}
    for name, column, expected in (("table2", 1, 0.25), ("table3", 1, 7.5), ("encoders", 3, 7.5)):
        for row in tables[name].rows:
            cell = row[column]
            assert isinstance(cell, Cell)
            assert cell.mean == pytest.approx(expected, rel=0.02)
    assert [row[-1] for row in tables["table4"].rows] == ["3.9", "4.9", "1.256"]
    assert tables["table2"].rows[1][-3:] == ("0.185", "", "77.16")


def test_results_are_written_with_whatever_is_there(study: Options) -> None:
    recording.main(study)
    text = (study.folder / "RESULTS.md").read_text()
    assert "Missing: baseline-seed0" in text
    assert str(study.folder) not in text
    assert "missing runs: overparam-w_rows, baseline-w_plus" in text


@pytest.mark.parametrize(("scale", "runs"), [("cpu", 15), ("paper", 7)])
def test_the_study_has_its_runs(scale: str, runs: int) -> None:
    assert len(Study.load(STUDY).jobs(scale)) == runs


@pytest.mark.slow
def test_inversions_of_a_tiny_model(tmp_path: Path) -> None:
    """Every way to find codes gives what statements and tables ask for; codes that are there are read again."""
    run_dir = tmp_path / "run"
    matrix = ("method=joint_ae", "method/generator=overparam", "method/encoder=matrix")
    train(compose_tiny(*matrix, "dataset=orl_faces", "kimg=0.016"), run_dir)
    protocol = Protocol.of("cpu")
    protocol = Protocol(6, protocol.distance, protocol.extractor, images=4)
    settings = [
        MATRIX,
        JOINT,
        Setting("any", "w_rows", How.ENCODER),
        Setting("any", "w_rows", How.UPSAMPLED, images=2),
        Setting("any", "w_rows", How.RESTARTED, images=2, repeats=2),
    ]
    assert [s.how for s in settings[3:]] == [UPSAMPLED[0].how, RESTARTED[0].how]
    for setting in settings:
        numbers = json.loads(json.dumps(run_setting(setting, run_dir, protocol)))
        count = (setting.images or 4) * setting.repeats
        assert len(numbers["distance"]) == len(numbers["error"]) == len(numbers["pictures"]) == count
        assert numbers["seconds"] > 0
        if setting.how == How.ENCODED:
            assert numbers["curves"] is None
        else:
            assert np.asarray(numbers["curves"]).shape == (count, 2)
        if setting.how == How.RESTARTED:
            assert len(numbers["between"]) == 2
        elif setting.how != How.UPSAMPLED:
            assert len(numbers["path"]) == count
            assert numbers["midpoint_frechet"] > 0
        targets = targets_of(setting, run_dir, protocol)
        folder = run_dir / "inversions" / setting.name
        first, again = (find_codes(setting, targets, protocol, folder)[0] for _ in range(2))
        assert torch.equal(first, again)
