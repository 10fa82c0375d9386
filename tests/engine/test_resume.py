"""Killed and started again with the same command, a run ends as if nothing had happened, bit by bit."""

import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.tiny import REPRESENTATIVE, TINY, checkpoint, differences, init_options, run_training, start_training, stats

KIMG = 0.64


def options(run_dir: Path, *more: str) -> list[str]:
    return [*TINY, "dataset.num_workers=2", "data.cache=false", f"kimg={KIMG}", f"run_dir={run_dir}", *more]


def wait_until_trained(run_dir: Path, process: subprocess.Popen[str], lines: int) -> None:
    """Returns once ``stats.jsonl`` has that many lines."""
    deadline = time.monotonic() + 120
    path = run_dir / "stats.jsonl"
    while not path.exists() or len(path.read_text().splitlines()) < lines:
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.02)


def assert_same_end(a: Path, b: Path) -> None:
    first, second = checkpoint(a), checkpoint(b)
    for run in (first, second):
        run["aestyle"].pop("config")  # names the folder
    for key in ("state_dict", "optimizer_states", "callbacks", "aestyle"):
        assert not differences(first[key], second[key]), key
    assert stats(a) == stats(b)
    assert stats(a)[-1]["kimg"] == KIMG


def assert_p_moved(run_dir: Path) -> None:
    """The augmentation had something to lose: p went up or down, and not only along an end of its range."""
    seen = {line["health/ada_p"] for line in stats(run_dir)}
    assert len(seen - {0.0, 1.0}) > 3, seen


ADA = "method/augment=ada method.augment.start=0.5 method.augment.speed_kimg=0.4 method.augment.interval=2"
"""p moves by 0.04 in every second iteration: checkpoints, 3 apart, fall between two moves as well as behind one."""

GROWING = "++scale.stage_kimg=0.3 ++scale.batch_sizes={4:16}"
"""Two phases of half the run each: the moment may fall before, into or behind the fade."""

CASES = [
    *(pytest.param(method, GROWING if method == "pioneer" else "", id=method) for method in REPRESENTATIVE),
    pytest.param("joint_ae", ADA, id="joint_ae-ada"),
    pytest.param("joint_ae", f"{ADA} trainer=ddp_cpu method.e_steps=2", id="joint_ae-ada-ranks", marks=pytest.mark.ddp),
]


@pytest.mark.slow
@pytest.mark.parametrize(("method", "more"), CASES)
def test_sigkill_and_same_command(method: str, more: str, tmp_path: Path) -> None:
    straight, killed = tmp_path / "straight", tmp_path / "killed"
    choice = [f"method={method}", *more.split(), *init_options(method, tmp_path / "generator", *TINY)]
    run_training(*options(straight, *choice))
    moment = random.Random()
    args = options(killed, *choice)
    process = start_training(*args)
    wait_until_trained(killed, process, moment.randint(4, 24))  # checkpoints lie 3 iterations apart, lines 2
    time.sleep(moment.uniform(0, 0.05))
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert checkpoint(killed)["aestyle"]["images_seen"] < KIMG * 1000
    assert "going on from" in run_training(*args)
    assert_same_end(straight, killed)
    if ADA in more:
        assert_p_moved(killed)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "more"),
    [
        pytest.param(signal.SIGTERM, ADA, id="SIGTERM"),
        pytest.param(signal.SIGUSR1, f"{ADA} trainer=ddp_cpu", id="SIGUSR1-ranks", marks=pytest.mark.ddp),
    ],
)
def test_signal_saves_stops_and_goes_on(number: signal.Signals, more: str, tmp_path: Path) -> None:
    straight, stopped = tmp_path / "straight", tmp_path / "stopped"
    run_training(*options(straight, "method=joint_ae", *more.split()))
    args = options(stopped, "method=joint_ae", *more.split())
    process = start_training(*args)
    wait_until_trained(stopped, process, 5)
    process.send_signal(number)
    output = process.communicate(timeout=60)[0]
    assert process.returncode == 128 + number, output
    assert f"stopped by signal {int(number)}" in output
    assert "Traceback" not in output
    assert 0 < checkpoint(stopped)["aestyle"]["images_seen"] < KIMG * 1000
    run_training(*args)
    assert_same_end(straight, stopped)
    assert_p_moved(stopped)


@pytest.mark.ddp
@pytest.mark.slow
@pytest.mark.parametrize("target", ["rank 0", "rank 1", "all"])
def test_signal_to_any_rank(target: str, tmp_path: Path) -> None:
    args = [*options(tmp_path / "run", "method=joint_ae", "trainer=ddp_cpu"), "kimg=100"]
    process = start_training(*args)
    wait_until_trained(tmp_path / "run", process, 3)
    children = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True, check=True)
    ranks = {"rank 0": [process.pid], "rank 1": [int(c) for c in children.stdout.split()[:1]]}
    for pid in ranks.get(target, [process.pid, *ranks["rank 1"]]):
        os.kill(pid, signal.SIGTERM)
    output = process.communicate(timeout=60)[0]
    assert process.returncode == 128 + signal.SIGTERM, output
    assert checkpoint(tmp_path / "run")["aestyle"]["images_seen"] > 0
