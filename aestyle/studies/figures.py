"""The figures of a study: what can be drawn here is drawn, the rest is named."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from aestyle.data.datamodule import ImageDataModule
from aestyle.data.transforms import to_float
from aestyle.metrics.recipe import spaced
from aestyle.studies.loading import load_data, load_run
from aestyle.studies.results import Results
from aestyle.studies.sheets import Sheet


class MissingRunError(Exception):
    """A figure cannot be drawn for want of runs; the message names them."""


@dataclass(frozen=True)
class Picture:
    """One PNG.

    Args:
        name: file name without ``.png``.
        caption: what it shows.
        draw: makes it.
    """

    name: str
    caption: str
    draw: Callable[[], Figure | Sheet]


def draw_all(pictures: Iterable[Picture], folder: Path) -> tuple[list[Picture], list[str]]:
    """Draws what can be drawn.

    Args:
        pictures: what to draw.
        folder: where the PNG files go.

    Returns:
        The pictures that were drawn, and a line for each of the others.
    """
    folder.mkdir(parents=True, exist_ok=True)
    drawn, left_out = [], []
    for picture in pictures:
        try:
            _write(picture.draw(), folder / f"{picture.name}.png")
        except MissingRunError as missing:
            left_out.append(f"{picture.name}.png is left out: {missing}")
        else:
            drawn.append(picture)
    return drawn, left_out


def _write(drawing: Figure | Sheet, path: Path) -> None:
    if isinstance(drawing, Sheet):
        drawing.save(path)
    else:
        drawing.savefig(path)


def run_dirs(results: Results, run: str) -> list[Path]:
    """The folders of a run's seeds; they need not be on this machine."""
    return [results.run_dir(name, seed) for name, seed in sorted(results.found) if name == run]


def run_folders(results: Results, runs: Sequence[str]) -> list[Path]:
    """For each run the folder of its first seed that is on this machine."""
    found = {run: next((f for f in run_dirs(results, run) if f.exists()), None) for run in runs}
    if absent := [run for run, folder in found.items() if folder is None]:
        raise MissingRunError(f"no run folder of {', '.join(absent)}")
    return [folder for folder in found.values() if folder]


def pictures_of(run_dir: Path, count: int | None = None, split: str = "test") -> Tensor:
    """Pictures (count, C, H, W) in [-1, 1] spread over a split of a run's data; None: all of them."""
    images = _data_of(run_dir).images(split)
    return to_float(images.batch(spaced(len(images), count)))


@lru_cache(maxsize=1)
def _data_of(run_dir: Path) -> ImageDataModule:
    """The data of a run, decoded once for several figures."""
    _, cfg, info = load_run(run_dir)
    return load_data(cfg, info)


def plot(ylabel: str) -> tuple[Figure, Axes]:
    """An empty plot with a grid, and its axes."""
    figure = Figure(figsize=(7, 4.2), dpi=110, layout="constrained")
    axes = figure.subplots()
    axes.set(ylabel=ylabel)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def aligned(curves: Sequence[Mapping[float, float]]) -> tuple[np.ndarray, np.ndarray]:
    """Curves of several seeds brought together.

    Args:
        curves: for each seed the value at each moment.

    Returns:
        The moments that all seeds have (n,), and their values there (seeds, n).
    """
    moments = sorted(set.intersection(*(set(curve) for curve in curves)))
    return np.array(moments), np.array([[curve[moment] for moment in moments] for curve in curves])
