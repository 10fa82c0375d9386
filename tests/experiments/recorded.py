"""Result files that no run wrote."""

import json
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from aestyle.studies.results import Results
from aestyle.studies.showing import Options
from experiments.ae_stylegan.paper import Paper
from tests.helpers import ROOT

STUDY = ROOT / "experiments" / "ae_stylegan"
SCALE = "cpu"
PAPER = Paper.load()
METRICS = {column: PAPER.metric(column, SCALE) for column in PAPER.content["columns"]}

Values = dict[str, dict[str, list[float]]]
"""Run, column, seeds."""


def new_study(folder: Path, study: Path = STUDY) -> Options:
    """A study without results: one of the repository."""
    folder.mkdir(parents=True)
    shutil.copy(study / "study.yaml", folder)
    return Options(SCALE, folder / "runs", folder)


def runs_of(options: Options) -> list[str]:
    return list(dict.fromkeys(job.run for job in options.results().jobs))


def record(options: Options, values: Values) -> Results:
    """Writes result files with these values of the columns."""
    for run, columns in values.items():
        for seed in range(max(map(len, columns.values()))):
            metrics = {METRICS[column]: numbers[seed] for column, numbers in columns.items() if seed < len(numbers)}
            write(options, run, seed, metrics)
    return options.results()


def write(options: Options, run: str, seed: int, metrics: Mapping[str, float], **changed: Any) -> None:
    folder = options.folder / "results" / options.scale
    folder.mkdir(parents=True, exist_ok=True)
    result = {
        "run": run,
        "seed": seed,
        "config_hash": f"{run}{seed}",
        "folder": f"{run}-seed{seed}",
        "metrics": dict(metrics),
        "kimg": 6.0,
        "train_seconds": 60.0,
        "evaluate_seconds": 30.0,
        "images_per_second": 100.0,
        "parameters": {"encoder": 1000, "synthesis": 234},
        "machine": {"cpu": "abacus", "threads": 1, "gpu": None, "torch": "2"},
    }
    (folder / f"{run}-seed{seed}.json").write_text(json.dumps({**result, **changed}))


def drawn(
    random: np.random.Generator, runs: Iterable[str], columns: Iterable[str] = tuple(METRICS), seeds: int = 3
) -> Values:
    """Any values between 1 and 2."""
    return {run: {column: random.uniform(1, 2, seeds).tolist() for column in columns} for run in runs}
