"""experiments/precision: every method in both precisions, and when one lies within the other's spread."""

from pathlib import Path

import numpy as np
import pytest

from aestyle.studies.showing import Options
from aestyle.studies.study import Study
from aestyle.studies.tables import MISSING, Cell
from experiments.precision.tables import METRICS, NARROW, table, within
from tests.experiments.recorded import new_study, write
from tests.helpers import ROOT
from tests.tiny import METHODS

STUDY = ROOT / "experiments" / "precision"


@pytest.fixture
def study(tmp_path: Path) -> Options:
    return new_study(tmp_path / "precision", STUDY)


def test_every_method_is_there_in_both_precisions() -> None:
    jobs = Study.load(STUDY).jobs("cpu")
    assert {job.run for job in jobs} == {*METHODS, *(name + NARROW for name in METHODS)}
    options = {job.run: set(job.overrides) for job in jobs}
    for name in METHODS:
        assert options[name + NARROW] - options[name] == {"trainer.precision=bf16-mixed"}
        assert not options[name] - options[name + NARROW]


def test_so_many_of_further_trainings_are_within() -> None:
    """The interval has the coverage that it says, for one training and for three."""
    random = np.random.default_rng()
    for count in (1, 3):
        inside = [within(random.normal(2, 0.1, 3).tolist(), random.normal(2, 0.1, count).tolist()) for _ in range(2000)]
        assert np.mean(inside) == pytest.approx(0.95, abs=0.03)
    assert not within([1.0, 1.1, 0.9], [3.0])


def test_the_table_says_how_far_apart_they_are(study: Options) -> None:
    for seed, value in enumerate((1.0, 2.0, 3.0)):
        write(study, "joint_ae", seed, dict.fromkeys(METRICS, value))
        write(study, "stylegan2", seed, {"fd_efflite0": value}, not_measured={"rec_mse": "no encoder"})
    write(study, "joint_ae_bf16", 0, dict.fromkeys(METRICS, 4.5))
    found = {row[0]: row[1:] for row in table(study.results(), "rec_mse").rows}
    assert found["joint_ae"] == (Cell((1.0, 2.0, 3.0)), Cell((4.5,)), "+3.50", "yes")
    assert found["aae"] == (Cell(), Cell(), MISSING, MISSING)
    assert "stylegan2" not in found
    assert "stylegan2" in {row[0] for row in table(study.results(), "fd_efflite0").rows}
