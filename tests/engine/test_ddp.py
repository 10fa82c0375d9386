"""Two gloo processes: equal to one process, equal to each other, and alike in every decision."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.tiny import METHODS, TINY, checkpoint, run_training

pytestmark = [pytest.mark.ddp, pytest.mark.slow]


@pytest.mark.parametrize("method", METHODS)
def test_two_processes_equal_one(method: str, tmp_path: Path) -> None:
    """Five batches of 16 with R1, path length, beta and EMA, in float64: the same numbers within 1e-8."""
    options = [
        *TINY,
        f"method={method}",
        "batch_size=16",
        "kimg=0.08",
        "trainer.precision=64-true",
        "method.r1.every=2",
    ]
    if method == "joint_ae":
        options += ["method.perceptual=null"]  # the feature network computes in float32
    run_training(*options, f"run_dir={tmp_path / 'one'}")
    run_training(*options, "trainer=ddp_cpu", f"run_dir={tmp_path / 'two'}")
    one, two = checkpoint(tmp_path / "one"), checkpoint(tmp_path / "two")
    assert one["aestyle"]["batches_seen"] == two["aestyle"]["batches_seen"] == 5
    for name, value in one["state_dict"].items():
        assert value.dtype == torch.float64 or not value.is_floating_point()
        assert torch.allclose(value, two["state_dict"][name], rtol=0, atol=1e-8), name
    assert two["state_dict"]["path_mean"] > 0


def test_checks_inside_two_processes() -> None:
    """One launch of two ranks for all checks of ``ddp_worker``: starting processes is what costs."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    environment = {**os.environ, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2"}
    ranks = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.engine.ddp_worker"],
            env={**environment, "RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        outputs = [process.communicate(timeout=120)[0] for process in ranks]
    finally:
        for process in ranks:
            process.kill()
    assert [process.returncode for process in ranks] == [0, 0], "\n".join(outputs)
    assert all("all checks passed" in output for output in outputs)
