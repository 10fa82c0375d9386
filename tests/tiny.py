"""Runs small enough for many iterations a second, with every phase in the first ones, and how to compare their ends."""

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from _pytest.mark import ParameterSet
from omegaconf import DictConfig, OmegaConf

from aestyle.entry import CONF
from aestyle.studies.training import train
from tests.helpers import choices, compose_train

METHODS = choices("method")


def lineage(method: str) -> list[str]:
    """A method's file and those that it is built on."""
    defaults = OmegaConf.load(CONF / "method" / f"{method}.yaml").get("defaults", [])
    return [method, *(base for name in defaults if name in METHODS for base in lineage(name))]


STYLEGANS = [method for method in METHODS if "stylegan2" in lineage(method)]
"""Methods with mapping, synthesis and an augmented discriminator of images."""

REPRESENTATIVE = [*STYLEGANS, "aae", "iaae", "vaegan", "pioneer", "ali", "progan_l1"]
"""For what is slow: IAAE's variants one by one differ from all of them together in no way that it could tell, and AGE
is PIONEER on other networks."""


def slow_but(quick: Collection[str], names: Iterable[str] | Mapping[str, str]) -> list[ParameterSet]:
    """Cases by name, or by id with what it stands for; all but the quick ones are left out of the fast tests."""
    cases = names if isinstance(names, Mapping) else {name: name for name in names}
    marks = {key: () if key in quick else (pytest.mark.slow,) for key in cases}
    return [pytest.param(value, id=key, marks=marks[key]) for key, value in cases.items()]


TINY = (
    "scale=cpu",
    "trainer=cpu",
    "resolution=8",
    "batch_size=8",
    "scale.channels={4: 6, 8: 4}",
    "scale.style_dim=6",
    "scale.mapping_depth=2",
    "scale.beta_kimg=0.016",
    "scale.stats_kimg=0.016",
    "scale.checkpoint_kimg=0.024",
    "scale.grid_kimg=0.1",
    "++scale.stage_kimg=0.016",
    "++scale.batch_sizes={}",
    "++scale.batch_steps={}",
    "++scale.age_width=2",
    "++scale.ali_width=8",
    "++scale.gan_kimg=1000",
)


def compose_tiny(*overrides: str) -> DictConfig:
    """The configuration of a tiny training."""
    return compose_train(*TINY, *overrides)


def start_training(*args: str, under: Sequence[str] = ()) -> subprocess.Popen[str]:
    """Starts ``python -m aestyle.train`` in a process group of its own, ``under`` another module, as torchrun's."""
    inherited = {name: value for name, value in os.environ.items() if name != "WANDB_SERVICE"}  # a test's own logger
    return subprocess.Popen(
        [sys.executable, *under, "-m", "aestyle.train", *args],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**inherited, "OMP_NUM_THREADS": "1"},
        start_new_session=True,
    )


def run_training(*args: str, timeout: float = 180, under: Sequence[str] = ()) -> str:
    """Runs ``python -m aestyle.train``, as :func:`start_training` does, to its end; gives back what it printed."""
    process = start_training(*args, under=under)
    output: str = process.communicate(timeout=timeout)[0]
    assert process.returncode == 0, output
    return output


def wait_until_trained(run_dir: Path, process: subprocess.Popen[str], lines: int) -> None:
    """Returns a moment after this process has written that many lines to ``stats.jsonl``, which it replaces first."""
    deadline = time.monotonic() + 120
    path = run_dir / "stats.jsonl"
    before, found = _inode(path), None
    while found is None or len(path.read_text().splitlines()) < found + lines:
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.02)
        if found is None and _inode(path) != before:
            found = len(path.read_text().splitlines()) if before else 0
    time.sleep(random.uniform(0, 0.05))


def _inode(path: Path) -> int | None:
    return path.stat().st_ino if path.exists() else None


def init_options(method: str, folder: Path, *args: str) -> list[str]:
    """What a method that works on a trained generator needs: ``init_from`` a StyleGAN2 trained with ``args``."""
    if method != "two_stage":
        return []
    if not folder.exists():
        train(compose_train(*args, "method=stylegan2", "kimg=0.016"), folder)
    return [f"init_from={folder}"]


def checkpoint(run_dir: Path) -> dict[str, Any]:
    """The last checkpoint of a run."""
    loaded: dict[str, Any] = torch.load(run_dir / "checkpoints" / "last.ckpt", weights_only=True)
    return loaded


def stats(run_dir: Path, without: Sequence[str] = ("seconds", "images_per_second")) -> list[dict[str, float]]:
    """The lines of ``stats.jsonl``, without what depends on the clock on the wall."""
    lines = (run_dir / "stats.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k not in without} for line in lines]


def differences(a: Any, b: Any, name: str = "") -> list[str]:
    """Names of the places where two nested values differ, tensors bit by bit."""
    if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor):
        return [] if torch.equal(a, b) else [name]
    if isinstance(a, dict) and isinstance(b, dict) and a.keys() == b.keys():
        return [d for key in a for d in differences(a[key], b[key], f"{name}.{key}")]
    if isinstance(a, list | tuple) and isinstance(b, list | tuple) and len(a) == len(b):
        return [d for i, (x, y) in enumerate(zip(a, b, strict=True)) for d in differences(x, y, f"{name}.{i}")]
    return [] if type(a) is type(b) and a == b else [name]


def assert_same_end(a: Path, b: Path) -> None:
    """Two runs ended alike, bit by bit: weights, optimizers, what callbacks keep, the clock, and their statistics."""
    first, second = checkpoint(a), checkpoint(b)
    for run in (first, second):
        run["aestyle"].pop("config")  # names the folder
    for key in ("state_dict", "optimizer_states", "callbacks", "aestyle"):
        assert not differences(first[key], second[key]), key
    assert stats(a) == stats(b)
