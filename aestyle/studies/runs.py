"""Run folders as they lie there, finished or not, without loading a model."""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from aestyle.engine.callbacks.stats import FILE as STATS
from aestyle.errors import UserError
from aestyle.studies.ending import CONFIG, NOTE, Note, Outcome, read_note
from aestyle.studies.evaluation import RESULTS
from aestyle.studies.planning import comparable
from aestyle.studies.report import Line, read_lines
from aestyle.studies.running import LOG

DEPTH = 3
"""Run folders are looked for so many folders below the one that is given: a study's are below <name>/<scale>."""

MARKS = (CONFIG, NOTE, LOG)
"""A folder that holds one of these is a run's."""


@dataclass(frozen=True)
class Run:
    """One run folder.

    Args:
        name: its path below the folder of all.
        folder: where it is.
        note: what became of it.
        config: its configuration; empty if it has none that can be read.
        stats: lines of its statistics.
        results: lines of its metrics.
    """

    name: str
    folder: Path
    note: Note
    config: DictConfig
    stats: Sequence[Line]
    results: Sequence[Line]

    @cached_property
    def options(self) -> dict[str, Any]:
        """What decides its result, flat, by dotted name."""
        return comparable(self.config) if self.config else {}

    @property
    def kimg(self) -> float:
        """How far it came."""
        return max((line["kimg"] for line in (*self.stats, *self.results) if line.get("kimg")), default=0.0)

    @property
    def budget(self) -> float | None:
        """How far it was to go."""
        return OmegaConf.select(self.config, "kimg")

    @property
    def metrics(self) -> dict[str, float]:
        """The newest finite value of each metric; with the split, where a metric was measured on several."""
        newest = {(line["metric"], line.get("split")): line["value"] for line in self.results}
        names = [name for name, _ in newest]
        found = {name if names.count(name) == 1 else f"{name} ({split})": v for (name, split), v in newest.items()}
        return {name: value for name, value in found.items() if value is not None and math.isfinite(value)}

    def curves(self) -> dict[str, list[tuple[float, float]]]:
        """Losses, and the metrics that were measured along the training, over kimg: what is finite of them."""
        points = [(f"metric/{line['metric']}", line["kimg"], line["value"]) for line in self.results if _along(line)]
        points += [(k, line["kimg"], v) for line in self.stats for k, v in line.items() if k.startswith("loss/")]
        found: dict[str, list[tuple[float, float]]] = {}
        for name, kimg, value in points:
            if value is not None and math.isfinite(value):
                found.setdefault(name, []).append((kimg, value))
        return {name: sorted(curve) for name, curve in found.items()}

    def picture(self, kind: str) -> Path | None:
        """The picture to judge it by: where the metric that it is judged by was best, else the last one.

        Args:
            kind: ``samples`` or ``reconstructions``.
        """
        found = {_kimg_of(path): path for path in (self.folder / "samples").glob(f"{kind}-*.png")}
        if not found:
            return None
        at = self._best_at()
        return found[max(found) if at is None else min(found, key=lambda kimg: abs(kimg - at))]

    def _best_at(self) -> float | None:
        """Where the checkpoint ``best`` was kept, if one is."""
        best = OmegaConf.select(self.config, "evaluate.best")
        curve = [(line["value"], line["kimg"]) for line in self.results if _along(line) and line["metric"] == best]
        kept = self.folder / "checkpoints" / "best.ckpt"
        if not curve or not kept.exists():
            return None
        recipes = OmegaConf.select(self.config, "metrics") or {}
        chosen = max if any(_is_higher_better(recipe, best) for recipe in recipes.values()) else min
        return float(chosen((point for point in curve if point[0] is not None), default=(0.0, self.kimg))[1])


def _is_higher_better(recipe: Mapping[str, Any], name: str) -> bool:
    from hydra.utils import get_class

    return recipe.get("name") == name and bool(getattr(get_class(recipe["_target_"]), "higher_is_better", False))


def _along(line: Line) -> bool:
    return line.get("checkpoint") is None and line.get("kimg") is not None


def _kimg_of(path: Path) -> float:
    return float(path.stem.rpartition("-")[2])


def find_runs(folder: str | Path) -> list[Run]:
    """Every run folder below a folder, by name.

    Raises:
        UserError: there is no such folder, or none in it.
    """
    top = Path(folder)
    if not top.is_dir():
        raise UserError(f"{top}: there is no such folder; give the folder that holds the run folders")
    runs = [read_run(path, path.relative_to(top).as_posix()) for path in _run_folders(top, DEPTH)]
    if not runs:
        raise UserError(f"{top}: holds no run folder; give the folder that the runs of a multirun or study are in")
    return runs


def _run_folders(folder: Path, depth: int) -> Iterator[Path]:
    for path in sorted(folder.iterdir(), key=_natural):
        if path.is_dir() and not path.name.startswith("."):
            if any((path / mark).exists() for mark in MARKS):
                yield path
            elif depth > 1:
                yield from _run_folders(path, depth - 1)


def _natural(path: Path) -> list[tuple[int, str]]:
    """Sorts s2 before s10."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", path.name)]


def read_run(folder: Path, name: str | None = None) -> Run:
    """A run folder.

    Args:
        folder: where it is.
        name: what it is called; None: as the folder.
    """
    note = read_note(folder)
    config = _config(folder, note)
    stats = [line for line in read_lines(folder / STATS) if "kimg" in line]
    results = [line for line in read_lines(folder / RESULTS) if "metric" in line]
    last = max((line["kimg"] for line in stats), default=0.0)
    return Run(name or folder.name, folder, note or _guess(folder, config, last), config, stats, results)


def _config(folder: Path, note: Note | None) -> DictConfig:
    text = note.config if note else ""
    try:
        text = (folder / CONFIG).read_text(encoding="utf-8") if (folder / CONFIG).exists() else text
        config = OmegaConf.create(text) if text else None
    except (OSError, UnicodeDecodeError, YAMLError, OmegaConfBaseException):
        config = None
    return config if isinstance(config, DictConfig) else OmegaConf.create({})


def _guess(folder: Path, config: DictConfig, kimg: float) -> Note:
    """What became of a run that left no note: it is from before there were notes, or was stopped before it began."""
    budget = OmegaConf.select(config, "kimg")
    if budget and kimg >= budget:
        return Note(Outcome.FINISHED)
    log = folder / LOG
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.exists() else []
    trace = max((i for i, line in enumerate(lines) if line.startswith("Traceback")), default=None)
    if trace is None:
        return Note(Outcome.KILLED, "it left no note of its end")
    told = next((line for line in lines[trace + 1 :] if line and not line.startswith(" ")), "")
    return Note(Outcome.FAILED, told.removeprefix("aestyle.errors.UserError: "))


# -- what differs ----------------------------------------------------------------------------------------------------

ABSENT = "-"
FIRST = ("method.name", "dataset.name", "scale.name", "resolution", "seed")
"""Options that are shown wherever they differ."""


def differences(runs: Sequence[Run]) -> dict[str, list[str]]:
    """The options in which runs differ: for each its value in every run, ``-`` where it has none.

    What follows from an option that is shown is left out: copies of it, and what the chosen method, data set and scale
    (or any option that several runs share) determine.
    """
    known = [run for run in runs if run.options]
    names = sorted({name for run in known for name in run.options}, key=_importance)
    shown: dict[str, list[str]] = {}
    for name in names:
        values = [_text(run.options.get(name)) if run.options else "?" for run in runs]
        told = [value for value, run in zip(values, runs, strict=True) if run.options]
        if len(set(told)) > 1 and not name.endswith("_target_") and not _follows(name, values, shown):
            shown[name] = values
    return shown


def _importance(name: str) -> tuple[int, int, str]:
    return (FIRST.index(name) if name in FIRST else len(FIRST), name.count("."), name)


def _follows(name: str, values: Sequence[str], shown: Mapping[str, Sequence[str]]) -> bool:
    """Whether shown options determine this one (one whether it is there, one its value), likely by no coincidence."""
    if name in FIRST:
        return False
    present = [value != ABSENT for value in values]
    return any(_determines(other, known, name, present) for other, known in shown.items()) and any(
        _determines(
            other, [k for k, p in zip(known, present, strict=True) if p], name, [v for v in values if v != ABSENT]
        )
        for other, known in shown.items()
    )


def _determines(other: str, known: Sequence[str], name: str, values: Sequence[str | bool]) -> bool:
    """Whether ``other`` tells ``name`` in these runs; that every run has a value of its own says nothing."""
    if len(set(values)) < 2 or list(known) == list(values):
        return True
    selects = other.endswith(".name") and name.startswith(other.removesuffix("name"))
    likely = other != "seed" and (selects or len(set(known)) < len(known))
    return likely and len(set(zip(known, values, strict=True))) == len(set(known))


def _text(value: Any) -> str:
    return ABSENT if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def styles(runs: Sequence[Run], shown: Mapping[str, Sequence[str]]) -> list[int]:
    """A number for each run, the same for runs that differ in their seed alone."""
    keys = [tuple(values[i] for name, values in shown.items() if name != "seed") for i in range(len(runs))]
    numbers: dict[tuple[str, ...], int] = {}
    fresh = count()
    return [numbers[key] if key in numbers else numbers.setdefault(key, next(fresh)) for key in keys]
