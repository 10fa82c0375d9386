"""The paper's Figures 2 to 6, the poster's style transfers, and plots of the recorded runs.

``python -m experiments.ae_stylegan.figures --scale cpu`` (from the top of the checkout) writes PNG files into
``experiments/ae_stylegan/out/<scale>/``. Pictures of models need the run folders; those that are not on this machine
are named and left out. Plots of numbers need the result files alone.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import cast

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from aestyle.engine.callbacks.stats import FILE as STATS
from aestyle.latents.batches import decode_all, encode_all
from aestyle.latents.mixing import choose_layers, mix_all_pairs, to_layers
from aestyle.metrics.recipe import spaced
from aestyle.protocol import LatentModel
from aestyle.studies.figures import (
    MissingRunError,
    Picture,
    aligned,
    draw_all,
    pictures_of,
    plot,
    run_dirs,
    run_folders,
)
from aestyle.studies.loading import load_run
from aestyle.studies.report import read_lines
from aestyle.studies.results import Results
from experiments.ae_stylegan.options import Options, command
from experiments.ae_stylegan.paper import Paper
from experiments.ae_stylegan.sheets import cut, grids_of, sheet

PICTURES = 8
"""A row shows this many."""

MIXED_A, MIXED_B = 6, 5
"""Sources of Figure 6: 11 real pictures in all, as in the paper."""


def all_pictures(results: Results, paper: Paper, scale: str) -> list[Picture]:
    """Every figure of this scale, none of them drawn yet."""
    datasets = paper.datasets(scale)

    def samples_of(model: str) -> Callable[[], Figure]:
        return partial(draw_samples, results, paper, [f"{model}-{data}" for data in datasets])

    per_set = [picture for data in datasets for picture in _per_dataset(results, paper, data)]
    frozen, joint = "decoupled_frozen_1", "shared_joint_1"
    return [
        Picture("figure2", "Figure 2: samples of AE-StyleGAN (W+), not chosen", samples_of("joint_w_plus")),
        Picture("figure3", "Figure 3: samples of ALAE, of the same prior codes", samples_of("alae")),
        *per_set,
        Picture(
            "figure5",
            "Figure 5: reconstructions of fixed held-out pictures along the training, of the EMA networks",
            partial(draw_progress, results, {"decoupled": frozen, "joint": joint}),
        ),
        Picture(
            "lag",
            "Pixel loss of the AE step along the training (mean over seeds, band: one standard deviation)",
            partial(
                draw_lag, results, ["decoupled_frozen_1", "decoupled_frozen_4", "shared_joint_1", "shared_joint_4"]
            ),
        ),
        Picture(
            "table4", "Table 4 as bars (mean and standard deviation)", partial(draw_ablation, results, paper, scale)
        ),
        Picture(
            "invertible_and_disentangled",
            "Is what is easy to invert more disentangled? Each point is one run",
            partial(draw_paths, results, paper, scale),
        ),
    ]


def _per_dataset(results: Results, paper: Paper, data: str) -> Iterator[Picture]:
    title = paper.title(data)
    runs = {paper.title(model): f"{model}-{data}" for model in ("alae", "joint_w", "joint_w_plus")}
    yield Picture(
        f"figure4-{data}",
        f"Figure 4: held-out pictures of {title} and their reconstructions",
        partial(draw_reconstructions, results, runs),
    )
    yield Picture(
        f"figure6-{data}",
        f"Figure 6 and the poster: coarse styles of A (left), fine styles of B (top), held-out pictures of {title}; "
        "the second row and column are reconstructions",
        partial(draw_mixing, results, f"joint_w_plus-{data}"),
    )


# -- pictures of models ----------------------------------------------------------------------------------------------


def draw_samples(results: Results, paper: Paper, runs: Sequence[str], rows: int = 2) -> Figure:
    """Samples of each run: ``rows`` rows of eight, of the prior's seed 0."""
    shown: list[Tensor] = []
    for folder in run_folders(results, runs):
        model = _model(folder)
        images = decode_all(model, model.prior(rows * PICTURES, 0), "z")
        shown += _colour(images).split(PICTURES)
    names = [name for run in runs for name in (paper.title(run.rpartition("-")[2]), *[""] * (rows - 1))]
    return sheet(_one_size(shown), names)


@torch.no_grad()
def draw_reconstructions(results: Results, runs: dict[str, str]) -> Figure:
    """Held-out pictures and, below, the reconstructions of each run (by the name that is written beside it)."""
    folders = run_folders(results, list(runs.values()))
    x = pictures_of(folders[0], PICTURES)
    models = [_model(folder) for folder in folders]
    return sheet([_colour(x), *(_colour(model.decode(model.encode(x))) for model in models)], ["real", *runs])


def draw_progress(results: Results, runs: dict[str, str], pictures: int = 4, moments: int = 6) -> Figure:
    """Fixed real pictures, one a row, and their reconstructions along the training, for each run in turn."""
    rows, names, columns = [], [], ["real"]
    for name, folder in zip(runs, run_folders(results, list(runs.values())), strict=True):
        grids = list(grids_of(folder).items())
        if not grids:
            raise MissingRunError(f"{folder} holds no samples/reconstructions-*.png")
        shown = [grids[i] for i in spaced(len(grids), moments)]
        real = cut(shown[0][1])[0]
        chosen = spaced(len(real), pictures)
        rows += list(torch.stack([real[chosen], *(cut(path)[1][chosen] for _, path in shown)], dim=1))
        names += [name] * len(chosen)
        columns = max(columns, ["real", *(f"{kimg:g} kimg" for kimg, _ in shown)], key=len)
    return sheet(rows, names, columns)


def draw_mixing(results: Results, run: str, rows: int = MIXED_A, columns: int = MIXED_B) -> Figure:
    """The grid of Figure 6 from held-out pictures: below and right of the reconstructions A's codes with B's layers."""
    folder = run_folders(results, [run])[0]
    model = _model(folder)
    x = _colour(pictures_of(folder, rows + columns))
    codes, space = to_layers(model, encode_all(model, x[:, : model.channels]))
    rec = _colour(decode_all(model, codes, space))
    pairs = mix_all_pairs(codes[:rows], codes[rows:], choose_layers(None, codes.shape[1]))
    mixed = decode_all(model, pairs, space)
    blank = torch.ones_like(x[:2])
    body = [torch.cat([x[i, None], rec[i, None], _colour(row)]) for i, row in enumerate(mixed)]
    heads = [torch.cat([blank, x[rows:]]), torch.cat([blank, rec[rows:]])]
    names = ["B", "reconstructed", *[""] * rows]
    return sheet([*heads, *body], names, ["A", "reconstructed", *[""] * columns])


def _model(run_dir: Path) -> LatentModel:
    return cast(LatentModel, load_run(run_dir)[0])


def _colour(images: Tensor) -> Tensor:
    """Grey pictures (N, 1, H, W) as RGB, colour ones as they are."""
    return images.expand(-1, 3, -1, -1)


def _one_size(rows: Sequence[Tensor]) -> list[Tensor]:
    """Rows of pictures brought to the largest size among them, pixel by pixel."""
    size = max(row.shape[-1] for row in rows)
    return [torch.nn.functional.interpolate(row, size=(size, size), mode="nearest") for row in rows]


# -- plots of numbers ------------------------------------------------------------------------------------------------


def draw_lag(results: Results, runs: Sequence[str], name: str = "loss/pixel") -> Figure:
    """A training statistic along the training: mean over seeds, and one standard deviation as a band."""
    found = {run: [read_lines(f / STATS) for f in run_dirs(results, run) if (f / STATS).exists()] for run in runs}
    if absent := [run for run, seeds in found.items() if not seeds]:
        raise MissingRunError(f"no {STATS} of {', '.join(absent)}")
    figure, axes = plot(name.partition("/")[2])
    for run, seeds in found.items():
        kimg, values = aligned([{line["kimg"]: line[name] for line in lines if name in line} for lines in seeds])
        mean, std = values.mean(axis=0), values.std(axis=0)
        (line,) = axes.plot(kimg, mean, label=run, linewidth=1.2)
        axes.fill_between(kimg, mean - std, mean + std, color=line.get_color(), alpha=0.2, linewidth=0)
    axes.set(xlabel="kimg", yscale="log")
    axes.legend(frameon=False)
    return figure


def draw_ablation(results: Results, paper: Paper, scale: str, column: str = "mse") -> Figure:
    """Table 4's reconstruction errors as bars."""
    runs = list(paper.content["table4"])
    found = {run: results.mean_std(run, paper.metric(column, scale)) for run in runs}
    if absent := [run for run, (mean, _) in found.items() if np.isnan(mean)]:
        raise MissingRunError(f"no results of {', '.join(absent)}")
    figure, axes = plot(paper.heading(column, scale))
    for i, (run, (mean, std)) in enumerate(found.items()):
        axes.bar(i, mean, yerr=None if np.isnan(std) else std, color="C1" if "joint" in run else "C0", capsize=3)
    axes.set_xticks(range(len(runs)), [run.replace("_", "\n") for run in runs], fontsize=8)
    return figure


def draw_paths(results: Results, paper: Paper, scale: str) -> Figure:
    """Reconstruction error against path length: every run with an encoder, a mark for each data set."""
    figure, axes = plot(paper.heading("ppl_full", scale))
    absent, marks = [], "os^D"
    for data, mark in zip(paper.datasets(scale), marks, strict=False):
        for colour, model in enumerate(("alae", "joint_w", "joint_w_plus")):
            x, y = (results.value(f"{model}-{data}", paper.metric(c, scale)) for c in ("mse", "ppl_full"))
            absent += [] if x and y else [f"{model}-{data}"]
            label = f"{paper.title(model)}, {paper.title(data)}"
            axes.plot(x, y, mark, color=f"C{colour}", label=label) if len(x) == len(y) else None
    if absent:
        raise MissingRunError(f"no results of {', '.join(absent)}")
    axes.set(xlabel=paper.heading("mse", scale))
    axes.legend(frameon=False, fontsize=8)
    return figure


# -- the command -----------------------------------------------------------------------------------------------------


def main(options: Options) -> None:
    """Draws what can be drawn, and says what cannot."""
    pictures = all_pictures(options.results(), Paper.load(), options.scale)
    drawn, left_out = draw_all(pictures, options.output)
    print(*left_out, f"{len(drawn)} pictures are in {options.output}", sep="\n")


if __name__ == "__main__":
    command(main, __doc__)
