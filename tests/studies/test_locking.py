"""Two commands in one run folder."""

import fcntl
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from aestyle.engine.loggers import _run_id
from aestyle.errors import UserError
from aestyle.studies.locking import LOCK, alone
from tests.helpers import FAST, ROOT, answer

HOLD = """
import sys
from pathlib import Path
from aestyle.studies.locking import alone
with alone(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def hold(folder: Path) -> subprocess.Popen[str]:
    """A process that trains there, as far as others can tell."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_the_second_one_is_told_who_is_there_and_a_killed_one_does_not_block(tmp_path: Path) -> None:
    run = tmp_path / "run é"
    process = hold(run)
    line = answer("train", *FAST, "method=stylegan2", f"run_dir={run}").line
    assert str(run) in line
    assert f"is being trained by process {process.pid} on {os.uname().nodename}" in line
    assert sorted(path.name for path in run.iterdir()) == [LOCK]
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert (run / LOCK).exists()
    with alone(run), alone(run):
        assert (run / LOCK).read_text().split()[0] == str(os.getpid())
    assert not list(run.iterdir())


def test_other_processes_of_the_same_training_share_the_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (tmp_path / LOCK).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(UserError, match="is being trained"), alone(tmp_path):
            pass
        for name in ("RANK", "LOCAL_RANK", "SLURM_PROCID", "NODE_RANK"):
            with monkeypatch.context() as patch:
                patch.setenv(name, "1")
                with alone(tmp_path):
                    pass


def test_where_no_lock_can_be_there_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unsupported(*args: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", unsupported)
    with alone(tmp_path):
        pass


def test_many_processes_agree_on_one_id(tmp_path: Path) -> None:
    for number in range(20):
        folder = tmp_path / str(number)
        with ThreadPoolExecutor(4) as pool:
            ids = list(pool.map(_run_id, [folder] * 4))
        assert ids == [(folder / "wandb_id.txt").read_text()] * 4
        assert len(list(folder.iterdir())) == 1
