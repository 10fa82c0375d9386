"""Stopped in any way and started again with the same command, a run ends as if nothing had happened, bit by bit."""

import os
import random
import signal
import subprocess
from pathlib import Path

import pytest

from aestyle.studies.training import train
from tests.engine.dropping import HOOKS, train_dropped
from tests.tiny import (
    REPRESENTATIVE,
    STYLEGANS,
    TINY,
    assert_same_end,
    checkpoint,
    compose_tiny,
    init_options,
    run_training,
    start_training,
    stats,
    wait_until_trained,
)

pytestmark = pytest.mark.slow

ADA = "method/augment=ada method.augment.start=0.5 method.augment.speed_kimg=0.4 method.augment.interval=2"
"""p moves by 0.04 in every second iteration: checkpoints, 3 apart, fall between two moves as well as behind one."""


def growing(kimg: float) -> str:
    """Two phases of half the run each: the moment may fall before, into or behind the fade."""
    return f"++scale.stage_kimg={kimg * 0.47} ++scale.batch_sizes={{4:16}}"


# -- dropped with all that is in memory ------------------------------------------------------------------------------

BATCHES = 12

DROPPED = {
    **{method: f"method={method}" for method in REPRESENTATIVE},
    "pioneer": f"method=pioneer {growing(BATCHES * 0.008)}",
    "joint_ae-ada": f"method=joint_ae {ADA}",
}


@pytest.mark.parametrize("case", DROPPED)
def test_dropped_and_called_again(case: str, tmp_path: Path) -> None:
    """An error at a random moment, before, in the middle of or behind an iteration; only the run folder is left."""
    options = [*DROPPED[case].split(), *init_options(case, tmp_path / "generator", *TINY)]
    if case in STYLEGANS:
        options += ["method.r1.every=3"]
    cfg = compose_tiny(*options, f"kimg={BATCHES * 0.008}")
    train(cfg, tmp_path / "straight")
    train_dropped(cfg, tmp_path / "dropped", random.randrange(1, BATCHES), random.choice(HOOKS))
    assert_same_end(tmp_path / "straight", tmp_path / "dropped")


# -- stopped from outside --------------------------------------------------------------------------------------------

KIMG = 0.64
LINES = 40
"""Of statistics, one in two iterations."""

Stop = tuple[signal.Signals, str]
"""A signal, and whether rank 0, rank 1 or all processes, workers included, get it."""

KILLED = (signal.SIGKILL, "all")

STOPPED = [
    pytest.param("method=aae", [KILLED], id="aae"),
    pytest.param(f"method=pioneer {growing(KIMG)}", [KILLED], id="pioneer"),
    pytest.param(f"method=joint_ae {ADA}", [(signal.SIGTERM, "all"), KILLED], id="joint_ae-ada"),
    pytest.param(
        f"method=joint_ae {ADA} trainer=ddp_cpu method.e_steps=2",
        [(signal.SIGUSR1, "rank 0"), (signal.SIGTERM, "rank 1"), (signal.SIGTERM, "all"), KILLED],
        id="joint_ae-ada-ranks",
        marks=pytest.mark.ddp,
    ),
]


@pytest.mark.parametrize(("options", "stops"), STOPPED)
def test_stopped_and_same_command(options: str, stops: list[Stop], tmp_path: Path) -> None:
    """A signal saves before the command ends; SIGKILL, which comes last, loses what is behind the last checkpoint."""
    straight, stopped = tmp_path / "straight", tmp_path / "stopped"
    args = [*TINY, *options.split(), "dataset.num_workers=2", "data.cache=false", f"kimg={KIMG}"]
    if "ddp" in options:
        run_training(*args, f"run_dir={straight}")
    else:
        train(compose_tiny(*options.split(), f"kimg={KIMG}"), straight)
    seen = 0
    for number, ranks in stops:
        process = start_training(*args, f"run_dir={stopped}")
        wait_until_trained(stopped, process, random.randint(4, max(6, LINES // 2 // len(stops))))
        send(number, ranks, process)
        output = process.communicate(timeout=60)[0]
        if number != signal.SIGKILL:
            assert process.returncode == 128 + number, output
            assert f"stopped by signal {int(number)}" in output
            assert "Traceback" not in output
        assert seen < checkpoint(stopped)["aestyle"]["images_seen"] < KIMG * 1000
        seen = checkpoint(stopped)["aestyle"]["images_seen"]
    assert "going on from" in run_training(*args, f"run_dir={stopped}")
    assert_same_end(straight, stopped)
    assert stats(stopped)[-1]["kimg"] == KIMG
    if ADA in options:
        assert_p_moved(stopped)


def send(number: signal.Signals, ranks: str, process: subprocess.Popen[str]) -> None:
    """Signals one rank, or all of a command's processes, among them the workers that load data."""
    if ranks == "all":
        os.killpg(process.pid, number)
    else:
        os.kill(process.pid if ranks == "rank 0" else rank_1(process.pid), number)


def rank_1(rank_0: int) -> int:
    """The child that Lightning has started; its other children are workers."""
    children = subprocess.run(["pgrep", "-P", str(rank_0)], capture_output=True, text=True, check=True).stdout.split()
    return next(int(pid) for pid in children if b"LOCAL_RANK=1" in Path(f"/proc/{pid}/environ").read_bytes())


def assert_p_moved(run_dir: Path) -> None:
    """The augmentation had something to lose: p went up or down, and not only along an end of its range."""
    seen = {line["health/ada_p"] for line in stats(run_dir)}
    assert len(seen - {0.0, 1.0}) > 3, seen
