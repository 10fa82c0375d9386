"""Two gloo processes: equal to one process, equal to each other, and alike in every decision."""

import os
from pathlib import Path

import pytest
import torch

from aestyle.studies.training import train
from tests.engine import pair
from tests.engine.ranks import run_on_two_ranks
from tests.helpers import FAST, answer, once, run_command
from tests.tiny import TINY, assert_same_end, checkpoint, compose_tiny, differences, init_options, run_training, stats

pytestmark = [pytest.mark.ddp, pytest.mark.slow]


def run_pair(folder: Path) -> None:
    init_options("two_stage", folder / "generator", *TINY)
    codes, outputs = run_on_two_ranks("tests.engine.pair", folder, os.urandom(4).hex(), timeout=1800)
    (folder / "output.txt").write_text("\n".join([f"exit codes {codes}", *outputs]))


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one launch of two ranks left: starting processes is what costs."""
    return once(tmp_path_factory, "pair", run_pair)


def assert_done(ranks: Path, job: str) -> None:
    problem = pair.said(ranks, job)
    assert not problem, f"{problem}\n{(ranks / 'output.txt').read_text()[-4000:]}"


def assert_equal(one: Path, two: Path) -> None:
    """Five batches, in float64, with the same numbers within 1e-8."""
    first, second = checkpoint(one), checkpoint(two)
    assert first["aestyle"]["batches_seen"] == second["aestyle"]["batches_seen"] == pair.BATCHES
    for name, value in first["state_dict"].items():
        assert value.dtype == torch.float64 or not value.is_floating_point()
        assert torch.allclose(value, second["state_dict"][name], rtol=0, atol=1e-8), name


@pytest.mark.parametrize("case", pair.OPTIONS)
def test_two_processes_equal_one(case: str, ranks: Path, tmp_path: Path) -> None:
    assert_done(ranks, case)
    train(pair.config(case, ranks), tmp_path)
    assert_equal(tmp_path, ranks / case / "straight")
    assert case == "two_stage" or checkpoint(tmp_path)["state_dict"].get("path_mean", 1) > 0
    assert not case.startswith("joint_ae") or stats(tmp_path)[-1]["health/beta"] not in (0, 1)


@pytest.mark.parametrize("case", pair.OPTIONS)
def test_replicas_are_bitwise_equal(case: str, ranks: Path) -> None:
    """Weights, buffers, averages and the state of optimizers, of the run that went through and of the resumed one."""
    assert_done(ranks, case)
    for run in ("straight", "dropped"):
        first, second = (torch.load(ranks / case / run / f"rank{i}.pt", weights_only=True) for i in range(2))
        assert first["optimizers"]
        assert not differences(first, second)
        assert not differences(first["weights"], dict(checkpoint(ranks / case / run)["state_dict"]))


@pytest.mark.parametrize("case", pair.OPTIONS)
def test_two_processes_go_on_bitwise(case: str, ranks: Path) -> None:
    """Dropped at a random moment and called again, two processes end as if nothing had happened."""
    assert_done(ranks, case)
    assert_same_end(ranks / case / "straight", ranks / case / "dropped")


@pytest.mark.parametrize("check", pair.CHECKS)
def test_inside_two_processes(check: str, ranks: Path) -> None:
    assert_done(ranks, check)


def test_the_command_s_two_processes_equal_one(tmp_path: Path) -> None:
    """The same of ``trainer=ddp_cpu``, which starts the second process by itself."""
    options = ("method=joint_ae", "batch_size=16", "kimg=0.08", "trainer.precision=64-true")
    options += ("method.r1.every=2", "method.perceptual=null")
    said = run_training(*TINY, *options, "trainer=ddp_cpu", f"run_dir={tmp_path / 'two'}")
    assert "16 images a batch: 8 on each of 2 devices" in said
    train(compose_tiny(*options), tmp_path / "one")
    assert_equal(tmp_path / "one", tmp_path / "two")


def test_a_crash_of_two_processes_is_replayed_by_one(tmp_path: Path) -> None:
    """The bundle has the batch of both; no network stays finite with such steps."""
    options = (*FAST, "method=stylegan2", "batch_size=8", "kimg=1", "method.lr=1e30", "method.max_bad_steps=3")
    done = run_command("train", *options, "trainer=ddp_cpu", f"run_dir={tmp_path}")
    assert done.code == 1
    assert done.err.count("training aborted") == 1, done.err
    assert f"python -m aestyle.replay run_dir={tmp_path} repeats the failing iteration" in done.out
    bundle = torch.load(tmp_path / "crash" / "iteration.ckpt", weights_only=True)
    assert len(bundle["batch"]["image"]) == 8
    again = answer("replay", f"run_dir={tmp_path}")
    assert again.code == 0, again
    assert "not reproduced" not in again.out
    assert again.out.count(bundle["trouble"]["parameter"].split(".")[0]) >= 2


def test_no_process_waits_for_one_that_could_not_save(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").touch()  # where there should be a folder
    done = run_command("train", *FAST, "method=stylegan2", "trainer=ddp_cpu", f"run_dir={tmp_path}")
    assert done.code == 2, done
    assert done.line == f"aestyle: {tmp_path / 'checkpoints'}: File exists; free space or choose another folder\n"
