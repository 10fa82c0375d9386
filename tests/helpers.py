"""What many tests need: composed configurations, and the commands inside this process or as processes of their own."""

import copy
import fcntl
import functools
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from importlib import import_module
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig
from PIL import Image

from aestyle import resolvers
from aestyle.entry import CONF

ROOT = Path(__file__).parents[1]
FAST = ("debug=fast", "scale=cpu", "trainer=cpu", "resolution=8", "batch_size=4", "kimg=0.008", "scale.mapping_depth=2")
"""Two iterations of the smallest networks."""


def choices(group: str) -> list[str]:
    """The files of a configuration group."""
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


def compose_train(*overrides: str) -> DictConfig:
    """The configuration of a training with these options; a copy of one's own."""
    return copy.deepcopy(_composed(overrides, resolvers.cuda_available()))


@functools.cache
def _composed(overrides: tuple[str, ...], cuda: bool) -> DictConfig:
    """Composing takes tenths of a second, and most tests share their options with others.

    Args:
        overrides: options of the command line.
        cuda: whether CUDA can be used, on which defaults depend.
    """
    resolvers.register()
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("train", list(overrides))


@dataclass(frozen=True)
class Answer:
    """What a command said and how it ended."""

    code: int
    out: str
    err: str

    @property
    def line(self) -> str:
        """The one line that a refused command prints."""
        assert self.code == 2, self
        assert self.err.startswith("aestyle: "), self
        assert self.err.count("\n") == 1, self
        return self.err


def answer(command: str, *args: str | Path) -> Answer:
    """Runs ``python -m aestyle.<command> <args>`` inside this process, without the cost of importing everything again.

    An error that the command does not answer itself is raised here, as it would end the process with a traceback.
    """
    main = import_module(f"aestyle.{command}").main
    out, err, code = StringIO(), StringIO(), 0
    with _undisturbed_process(), redirect_stdout(out), redirect_stderr(err):
        sys.argv = [f"aestyle.{command}", *map(str, args)]
        try:
            main()
        except SystemExit as ended:
            code = int(ended.code or 0)
    return Answer(code, out.getvalue(), err.getvalue())


@contextmanager
def _undisturbed_process() -> Iterator[None]:
    argv, environment = sys.argv, dict(os.environ)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)}
    GlobalHydra.instance().clear()
    try:
        yield
    finally:
        sys.argv = argv
        os.environ.clear()
        os.environ.update(environment)
        for number, handler in handlers.items():
            signal.signal(number, handler)
        GlobalHydra.instance().clear()


def run_command(command: str, *args: str | Path, timeout: float = 120, cwd: Path | None = None) -> Answer:
    """Runs ``python -m aestyle.<command> <args>`` as a process."""
    done = subprocess.run(
        [sys.executable, "-m", f"aestyle.{command}", *map(str, args)],
        capture_output=True,
        text=True,
        timeout=timeout,
        cwd=cwd,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        check=False,
    )
    return Answer(done.returncode, done.stdout, done.stderr)


def write_pictures(folder: Path, *names: str, size: int = 12, seed: int = 0) -> Path:
    """Writes random RGB pictures of these names."""
    random = np.random.default_rng(seed)
    for name in names:
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 256, (size, size, 3), dtype=np.uint8)).save(file)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder with its bytes."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def once(temporary: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """A folder that all processes of one test run share; the first that asks makes it while the others wait."""
    base = temporary.getbasetemp()
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder, done = base / name, base / f"{name}.done"
    with (base / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            folder.mkdir(exist_ok=True)
            make(folder)
            done.touch()
    return folder
