"""Queues and sweeps: what a cluster does to a training, and what becomes of many at a time."""

import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from aestyle.studies.queueing import requeued
from aestyle.studies.runs import find_runs
from aestyle.studies.training import train
from tests.helpers import FAST, ROOT, answer, compose_train
from tests.studies.test_summary import Page
from tests.tiny import TINY, assert_same_end, compose_tiny, run_training, start_training, wait_until_trained

SLURM = {f"SLURM_{name}": "0" for name in ("PROCID", "LOCALID", "NODEID")} | {
    f"SLURM_{name}": "1" for name in ("NTASKS", "NTASKS_PER_NODE", "NNODES")
}


@pytest.fixture
def scontrol(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """SLURM's variables, and a ``scontrol`` that writes down what it is asked."""
    told, program = tmp_path / "told", tmp_path / "bin" / "scontrol"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\necho "$@" >> {told}\n')
    program.chmod(0o755)
    for name, value in {**SLURM, "SLURM_JOB_ID": "4711", "SLURM_JOB_NAME": "train"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    return told


@pytest.mark.slow
def test_slurm_gets_the_job_back_once_and_it_ends_as_if_undisturbed(tmp_path: Path, scontrol: Path) -> None:
    straight, stopped = tmp_path / "straight", tmp_path / "stopped"
    options = ("method=joint_ae", "kimg=0.32")
    train(compose_tiny(*options), straight)
    args = [*TINY, *options, "logger=wandb", "logger.wandb.offline=true", f"run_dir={stopped}"]
    process = start_training(*args)
    wait_until_trained(stopped, process, 5)
    process.send_signal(signal.SIGUSR1)
    output = process.communicate(timeout=120)[0]
    assert process.returncode == 0, output
    assert "Traceback" not in output
    assert scontrol.read_text() == "requeue 4711\n"
    assert '"stopped"' in (stopped / "state.json").read_text()
    assert not list(stopped.glob("*hpc_ckpt*"))  # Lightning's own answer to the signal
    assert "going on from" in run_training(*args)
    assert_same_end(straight, stopped)
    assert scontrol.read_text().count("requeue") == 1
    ids = {path.name.rpartition("-")[2] for path in stopped.glob("wandb/offline-run-*")}
    assert ids == {(stopped / "wandb_id.txt").read_text()}


@pytest.mark.slow
@pytest.mark.ddp
def test_torchrun_s_processes_are_signalled_and_go_on_bitwise(tmp_path: Path, scontrol: Path) -> None:
    """In a batch job of one task, which is how torchrun is started; it does not pass the signal on."""
    straight, stopped = tmp_path / "straight", tmp_path / "stopped"
    torchrun = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2")
    args = (*TINY, "method=joint_ae", "kimg=0.32", "trainer=ddp_cpu")
    run_training(*args, f"run_dir={straight}", under=torchrun)
    process = start_training(*args, f"run_dir={stopped}", under=torchrun)
    wait_until_trained(stopped, process, 5)
    children = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True, check=True).stdout
    os.kill(int(random.choice(children.split())), signal.SIGUSR1)
    output = process.communicate(timeout=120)[0]
    assert process.returncode == 0, output
    assert "Traceback" not in output
    assert scontrol.read_text() == "requeue 4711\n"
    assert run_training(*args, f"run_dir={stopped}", under=torchrun).count("going on from") == 1
    assert_same_end(straight, stopped)


def test_an_array_job_is_named_by_its_task_and_a_refusal_is_told(
    scontrol: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "12")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "3")
    assert requeued()
    assert scontrol.read_text() == "requeue 12_3\n"
    (scontrol.parent / "bin" / "scontrol").write_text("#!/bin/sh\necho 'Invalid job id' >&2; exit 1\n")
    assert not requeued()
    assert "SLURM does not take job 12_3 back: Invalid job id" in capsys.readouterr().out
    monkeypatch.setenv("PATH", "")
    assert not requeued()
    monkeypatch.setenv("SLURM_JOB_NAME", "interactive")
    assert not requeued()
    assert "Invalid" not in capsys.readouterr().out


SWEEP = ["-m", *TINY, "method=stylegan2", "seed=0,1,2,3,4,5", "kimg=0.4", "dataset.num_workers=0"]


def run_dir(seed: int) -> Path:
    cfg = compose_train(*TINY, "method=stylegan2", f"seed={seed}", "dataset.num_workers=0")
    return Path(cfg.run_dir)


def outcomes() -> Counter[str]:
    return Counter(str(run.note.outcome) for run in find_runs("runs"))


def shown_states() -> Counter[str]:
    """What the sweep's page says of its runs."""
    assert "6 runs are in runs/report.html" in answer("report", "sweep=runs").out
    return Counter(row["state"] for row in Page(Path("runs/report.html")).table.values())


def trained_by(run: Path, sweep: subprocess.Popen[str]) -> int:
    """The process that trains there, once it has begun; six at a time take long to start."""
    deadline = time.monotonic() + 600
    while not list((run / "samples").glob("samples-*.png")):
        assert sweep.poll() is None, sweep.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return int((run / ".lock").read_text().split()[0])


@pytest.mark.slow
def test_a_sweep_of_which_one_fails_and_one_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("submitit")
    monkeypatch.chdir(tmp_path)
    seeds = random.sample(range(6), 3)
    failing, killed, preempted = map(run_dir, seeds)
    failing.mkdir(parents=True)
    (failing / "samples").touch()  # where there should be a folder
    process = subprocess.Popen(
        [sys.executable, "-m", "aestyle.train", *SWEEP[1:], "launcher=submitit_local"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    for run, number in ((killed, signal.SIGKILL), (preempted, signal.SIGUSR2)):
        os.kill(trained_by(run, process), number)
    output = process.communicate(timeout=600)[0]
    assert process.returncode == 1, output
    assert "a job was killed; the same command completes what is missing" in output
    assert "Traceback" not in output
    assert outcomes() == {"finished": 4, "failed": 1, "killed": 1}
    assert shown_states() == {"finished": 4, "failed": 1, "killed": 1}
    (failing / "samples").unlink()
    again = answer("train", *SWEEP)
    assert again.code == 0, again
    assert again.out.count("is finished (0.4 of 0.4 kimg)") == 4
    assert again.out.count("going on from") in (0, 1)  # the killed one, if it had a checkpoint
    assert outcomes() == shown_states() == {"finished": 6}
    for seed, run in zip(seeds[1:], (killed, preempted), strict=True):
        straight = tmp_path / f"straight-{seed}"
        train(compose_tiny("method=stylegan2", f"seed={seed}", "kimg=0.4", "dataset.num_workers=0"), straight)
        assert_same_end(straight, run)


def test_an_extra_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from hydra.errors import MissingConfigException

    from aestyle.entry import EXTRAS, _unknown_choice

    for missing, extra in EXTRAS.items():
        line = _unknown_choice(MissingConfigException("", f"{missing}.yaml", []))
        assert line == f"{missing.split('/')[2]} needs an extra: pip install 'aestyle[{extra}]'"


def test_a_search_needs_a_metric_and_a_launcher_one_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SUBMITIT_EXECUTOR", "local")
    line = answer("train", *FAST, "trainer=ddp_cpu", f"run_dir={tmp_path}").line
    assert "launcher=submitit_local runs trainings of one process" in line
    monkeypatch.delenv("SUBMITIT_EXECUTOR")
    monkeypatch.setattr(multiprocessing.current_process(), "name", "LokyProcess-1")  # as in joblib's workers
    line = answer("train", *FAST, "trainer=ddp_cpu", f"run_dir={tmp_path}").line
    assert "launcher=joblib runs trainings of one process" in line


def test_one_folder_for_a_whole_search_is_refused() -> None:
    assert "would be shared by all jobs" in answer("train", *FAST, "sweep=optuna", "run_dir=x").line
