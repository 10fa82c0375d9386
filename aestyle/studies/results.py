"""What finished runs leave behind: a small JSON file each, under version control with the study."""

import json
import math
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from aestyle.errors import UserError
from aestyle.studies.study import Job, Study

Result = dict[str, Any]
"""The content of a result file; :func:`aestyle.studies.running.finished` says what is in it."""


def results_folder(study: Study, scale: str) -> Path:
    """Where the result files of a scale are."""
    return study.folder / "results" / scale


def runs_folder(study: Study, scale: str, runs: str | Path | None = None) -> Path:
    """Where the run folders of a scale are.

    Args:
        study: the study.
        scale: ``cpu`` or ``paper``.
        runs: folder for the study's run folders; None: ``runs/<name of the study>`` below the current folder.
    """
    return Path(runs or Path("runs") / study.name) / scale


def read_result(study: Study, job: Job) -> Result | None:
    """The result file of a run with one seed; None if there is none.

    Raises:
        UserError: the file is broken.
    """
    path = results_folder(study, job.scale) / f"{job.name}.json"
    if not path.exists():
        return None
    try:
        result: Result = json.loads(path.read_text(encoding="utf-8"))
        _ = result["config_hash"], result["metrics"]
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise UserError(f"{path}: is no result file any more; restore it, or delete it to run it again") from error
    return result


def write_result(study: Study, job: Job, result: Result) -> Path:
    """Writes a result file; a reader sees the old one or the new one, never half of it."""
    path = results_folder(study, job.scale) / f"{job.name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(f".{os.getpid()}.tmp")
    unfinished.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    os.replace(unfinished, path)  # noqa: PTH105
    return path


@dataclass(frozen=True)
class Results:
    """The result files of a study at one scale.

    Args:
        study: the study.
        scale: ``cpu`` or ``paper``.
        jobs: every run and seed that the study has at this scale.
        found: result files by run and seed.
        runs: folder for run folders; see :func:`runs_folder`.
    """

    study: Study
    scale: str
    jobs: tuple[Job, ...]
    found: dict[tuple[str, int], Result]
    runs: Path | None = None

    @classmethod
    def load(cls, folder: str | Path, scale: str, runs: str | Path | None = None) -> "Results":
        """Reads the result files of a study.

        Args:
            folder: the study's folder.
            scale: ``cpu`` or ``paper``.
            runs: folder for run folders, if it is not ``runs/<name of the study>``.

        Raises:
            UserError: there is no study, it has no such scale, or a result file is broken.
        """
        study = Study.load(folder)
        jobs = tuple(study.jobs(scale))
        read = {(job.run, job.seed): read_result(study, job) for job in jobs}
        found = {key: result for key, result in read.items() if result is not None}
        return cls(study, scale, jobs, found, Path(runs) if runs else None)

    def by_seed(self, run: str, metric: str) -> dict[int, float]:
        """The values of a metric by seed; seeds that are missing, or whose value is not finite, are left out."""
        values = {job.seed: self._value(job, metric) for job in self.jobs if job.run == run}
        return {seed: value for seed, value in sorted(values.items()) if value is not None}

    def _value(self, job: Job, metric: str) -> float | None:
        value = self.found.get((job.run, job.seed), {}).get("metrics", {}).get(metric)
        return None if value is None or not math.isfinite(value) else float(value)

    def value(self, run: str, metric: str) -> list[float]:
        """The values of a metric in the order of seeds; see :meth:`by_seed`."""
        return list(self.by_seed(run, metric).values())

    def mean_std(self, run: str, metric: str) -> tuple[float, float]:
        """Mean and sample standard deviation over seeds.

        Returns:
            NaN for the deviation of a single seed, and for both of a run that is missing.
        """
        values = self.value(run, metric)
        mean = float(np.mean(values)) if values else math.nan
        return mean, float(np.std(values, ddof=1)) if len(values) > 1 else math.nan

    def missing(self, runs: Iterable[str] | None = None) -> list[str]:
        """What has no result file yet, as ``<run>-seed<k>``; of a run that the study does not have, its name.

        Args:
            runs: names of runs; None: all of the study.
        """
        names = list(dict.fromkeys(job.run for job in self.jobs)) if runs is None else list(runs)
        seeds: dict[str, list[Job]] = {name: [job for job in self.jobs if job.run == name] for name in names}
        absent = {name: [j.name for j in jobs if (name, j.seed) not in self.found] for name, jobs in seeds.items()}
        return [text for name in names for text in (absent[name] if seeds[name] else [name])]

    def run_dir(self, run: str, seed: int) -> Path:
        """The run folder that a result comes from, which may be on another machine.

        Raises:
            UserError: the run has no result.
        """
        if (run, seed) not in self.found:
            raise UserError(
                f"{run}-seed{seed} has no result at scale={self.scale}; "
                f"run it with python -m aestyle.study path={self.study.folder} scale={self.scale} only={run}"
            )
        return runs_folder(self.study, self.scale, self.runs) / str(self.found[run, seed]["folder"])
