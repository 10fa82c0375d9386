"""The paper's Figures 1 and 3 to 15 as far as a scale has them, ProgGAN/L1 on its own samples, and the KL terms.

``python -m experiments.pioneer.figures --scale cpu`` (from the top of the checkout) writes PNG files into
``experiments/pioneer/out/<scale>/``. Pictures of models need the run folders; those that are not on this machine are
named and left out. The KL terms need what ``record`` kept of the trainings alone.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import cast

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from aestyle.latents.batches import decode_all, encode_all
from aestyle.latents.interpolation import between_corners
from aestyle.metrics.neighbours import most_similar
from aestyle.protocol import LatentModel
from aestyle.studies.editing.grid import square
from aestyle.studies.figures import MissingRunError, Picture, draw_all, pictures_of, run_folders
from aestyle.studies.loading import load
from aestyle.studies.results import Results
from aestyle.studies.sheets import Cell, Sheet
from aestyle.studies.showing import Options, command
from experiments.pioneer.paper import FOLDER, Paper
from experiments.pioneer.settings import GAMES, MAIN, SAMPLES
from experiments.pioneer.training import FAKE, GENERATED, REAL, Curves, above_floor, batch_of, kept, of_uniform_codes

COLUMNS = 10
"""A row shows this many pictures."""

ROWS = 5
"""Of sheets of samples, as in the paper's."""

SIDE = 8
"""Of Figure 5, which shows 8 x 8 pictures."""

CENTRE = {"cpu": 1.0, "paper": 0.6}
"""The share of the side that Figure 1 compares: all of an emoji, of CelebA's pictures the face."""

CANDIDATES = 4000
"""Training pictures that Figure 1 looks at, at most; those of cpu scale are fewer."""

LINES = {REAL: "real", FAKE: "generated, in E's step", GENERATED: "generated, in G's step"}


def all_pictures(results: Results, paper: Paper) -> list[Picture]:
    """Every figure of this scale, none of them drawn yet."""
    return [*_of_models(results, paper), *_of_trainings(results, paper)]


def _of_models(results: Results, paper: Paper) -> Iterator[Picture]:
    main = MAIN[results.scale]
    yield Picture(
        "figure1",
        "Figure 1: held-out pictures, PIONEER's reconstructions, and the four training pictures most similar to the "
        "originals (SSIM)",
        partial(draw_nearest, results, main),
    )
    for name, (caption, run) in SAMPLES[results.scale].items():
        yield Picture(name, f"{caption}, not chosen", partial(draw_samples, results, run))
    yield Picture(
        "figure4",
        "Figure 4: held-out pictures and their reconstructions",
        partial(draw_reconstructions, results, paper, ("pioneer", "ali", "age", "progan_l1")),
    )
    for name, first in (("figure5", 0), ("figure8", 4)):
        yield Picture(
            name,
            f"Figure {name[-1]}: between the reconstructions of four held-out pictures, along great circles",
            partial(draw_square, results, main, first),
        )
    yield Picture(
        "figure9",
        "Figure 9: more held-out pictures, each above its reconstruction by PIONEER",
        partial(draw_pairs, results, main),
    )
    yield Picture(
        "own_samples",
        "Section 4.1: ProgGAN/L1's own samples and held-out pictures, each above its reconstruction",
        partial(draw_own_samples, results, "progan_l1"),
    )


def _of_trainings(results: Results, paper: Paper) -> Iterator[Picture]:
    yield Picture(
        "kl",
        "The KL terms above their floor along the training (mean over seeds, band: one standard deviation). Growth "
        "goes on at the dotted lines; dashed: a batch of codes that are uniform on the sphere",
        partial(draw_divergences, results, paper, GAMES),
    )


# -- pictures of models ----------------------------------------------------------------------------------------------


def draw_nearest(results: Results, run: str) -> Sheet:
    """A column a held-out picture: it, its reconstruction, and the training pictures most similar to it."""
    (folder,) = run_folders(results, [run])
    x, train = pictures_of(folder, COLUMNS), pictures_of(folder, CANDIDATES, "train")
    found = most_similar(x, train, centre=CENTRE[results.scale])
    rows = [x, _reconstruct(_model(folder), x), *(train[column] for column in found.T)]
    names = ["held-out", "reconstruction", "training pictures", *[""] * (found.shape[1] - 1)]
    return Sheet(_cells(rows), rows=names, row_groups=[0, 2])


def draw_samples(results: Results, run: str, rows: int = ROWS) -> Sheet:
    """Samples of the prior's seed 0."""
    (folder,) = run_folders(results, [run])
    return Sheet(_cells(_model(folder).sample(rows * COLUMNS, seed=0).split(COLUMNS)))


def draw_reconstructions(results: Results, paper: Paper, runs: Sequence[str]) -> Sheet:
    """Held-out pictures and, below, the reconstructions of each run."""
    folders = run_folders(results, runs)
    x = pictures_of(folders[0], COLUMNS)
    rows = [x, *(_reconstruct(_model(folder), x) for folder in folders)]
    return Sheet(_cells(rows), rows=["held-out", *map(paper.title, runs)], row_groups=[0, 1])


def draw_square(results: Results, run: str, first: int) -> Sheet:
    """What lies between four of the held-out pictures that are shown elsewhere, from number ``first`` on."""
    (folder,) = run_folders(results, [run])
    model, x = _model(folder), pictures_of(folder, COLUMNS)[first : first + 4]
    codes = between_corners(encode_all(model, x), SIDE)
    return square(decode_all(model, codes), [[Cell(image)] for image in x])


def draw_pairs(results: Results, run: str, rows: int = 3) -> Sheet:
    """Rows of held-out pictures, the reconstructions below each."""
    (folder,) = run_folders(results, [run])
    x = pictures_of(folder, rows * COLUMNS)
    return _above(x, _reconstruct(_model(folder), x))


def draw_own_samples(results: Results, run: str) -> Sheet:
    """Samples of a model and held-out pictures, the reconstructions below each."""
    (folder,) = run_folders(results, [run])
    model = _model(folder)
    x = torch.cat([model.sample(COLUMNS, seed=0), pictures_of(folder, COLUMNS)])
    names = [f"{what}{of}" for of in ("own samples", "held-out") for what in ("", "reconstructed ")]
    return _above(x, _reconstruct(model, x), names)


def _above(x: Tensor, rec: Tensor, names: Sequence[str] = ()) -> Sheet:
    """Rows of pictures, each with that of their reconstructions below."""
    pairs = zip(x.split(COLUMNS), rec.split(COLUMNS), strict=True)
    rows = [row for pair in pairs for row in pair]
    labels = names or ["held-out", "reconstruction"] * (len(rows) // 2)
    return Sheet(_cells(rows), rows=labels, row_groups=range(0, len(rows), 2))


def _reconstruct(model: LatentModel, x: Tensor) -> Tensor:
    return decode_all(model, encode_all(model, x))


def _model(folder: Path) -> LatentModel:
    return cast(LatentModel, load(folder))


def _cells(rows: Sequence[Tensor]) -> list[list[Cell]]:
    return [[Cell(image) for image in row] for row in rows]


# -- plots of numbers ------------------------------------------------------------------------------------------------


def draw_divergences(results: Results, paper: Paper, runs: Sequence[str]) -> Figure:
    """The KL terms of each run above their floor; where it grows, dotted lines say when."""
    found = {run: list(curves.values()) for run in runs if (curves := kept(results, run))}
    if not found:
        raise MissingRunError(f"no curves of {', '.join(runs)}")
    figure = Figure(figsize=(3.6 * len(found), 3.8), dpi=110, layout="constrained")
    grid = figure.subplots(1, len(found), sharey=True, squeeze=False)[0]
    for axes, (run, seeds) in zip(grid, found.items(), strict=True):
        for name, label in LINES.items():
            _band(axes, seeds, name, label)
        if batch := batch_of(results, run):
            axes.axhline(of_uniform_codes(batch), color="#888888", linestyle="--", linewidth=1)
        for kimg in _growth(seeds[0]):
            axes.axvline(kimg, color="#888888", linestyle=":", linewidth=1)
        axes.set_title(paper.title(run), fontsize=9)
        axes.set(xlabel="kimg", yscale="log")
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    grid[0].set(ylabel="KL above its floor")
    grid[0].legend(frameon=False, fontsize=8)
    return figure


def _band(axes: Axes, seeds: Sequence[Curves], name: str, label: str) -> None:
    length = min(len(curves["kimg"]) for curves in seeds)  # a part of the seeds may have been trained for longer
    values = np.array([above_floor(curves, name)[:length] for curves in seeds])
    kimg, mean, std = seeds[0]["kimg"][:length], values.mean(axis=0), values.std(axis=0)
    (line,) = axes.plot(kimg, mean, label=label, linewidth=1.2)
    axes.fill_between(kimg, mean - std, mean + std, color=line.get_color(), alpha=0.2, linewidth=0)


def _growth(curves: Curves) -> list[float]:
    """Where the pictures become larger; nowhere, where nothing grows."""
    resolution = curves.get("health/resolution", np.zeros(len(curves["kimg"])))
    return [float(kimg) for kimg in curves["kimg"][1:][np.diff(resolution) > 0]]


# -- the command -----------------------------------------------------------------------------------------------------


def main(options: Options) -> None:
    """Draws what can be drawn, and says what cannot."""
    drawn, left_out = draw_all(all_pictures(options.results(), Paper.load()), options.output)
    print(*left_out, f"{len(drawn)} pictures are in {options.output}", sep="\n")


if __name__ == "__main__":
    command(main, __doc__, FOLDER)
