"""The paper's Figures 4 and 7 to 10, mean |σ| along the training, and latent traversals.

``python -m experiments.iaae.figures --scale cpu`` (from the top of the checkout) writes PNG files into
``experiments/iaae/out/<scale>/``. Pictures of models and Figure 10 need the run folders; those that are not on this
machine are named and left out. Plots of curves need the result files alone.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, cast

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from aestyle.data.transforms import to_float
from aestyle.latents.batches import decode_all
from aestyle.latents.spaces import get_space
from aestyle.latents.traversal import axis_direction, traverse
from aestyle.protocol import LatentModel
from aestyle.studies.evaluation import RESULTS
from aestyle.studies.figures import MissingRunError, Picture, aligned, draw_all, plot, run_folders
from aestyle.studies.loading import load, load_data, load_run
from aestyle.studies.report import read_lines
from aestyle.studies.results import Results
from aestyle.studies.sheets import Cell, Sheet
from aestyle.studies.showing import Options, command
from experiments.iaae.paper import FOLDER, REMEDIES, VARIANTS, Paper

PICTURES = 10
"""A row of samples shows this many."""

SHOWN = ("aae", *VARIANTS, "iaae", *REMEDIES)
"""Rows of Figure 7, lines of Figure 9."""

OFFSETS = (-2.0, -1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0)


def all_pictures(results: Results, paper: Paper) -> list[Picture]:
    """Every figure of this scale, none of them drawn yet."""
    return [picture for data in paper.datasets(results.scale) for picture in _of(results, paper, data)]


def _of(results: Results, paper: Paper, data: str) -> Iterator[Picture]:
    title = paper.title(data)
    yield Picture(
        f"figure4-{data}",
        f"Figure 4: samples of AAE and VAE-GAN, not chosen ({title})",
        partial(draw_samples, results, paper, data, ("aae", "vaegan"), 2),
    )
    yield Picture(
        f"figure7-{data}",
        f"Figure 7: samples of every model from the same codes, not chosen ({title})",
        partial(draw_samples, results, paper, data, SHOWN),
    )
    yield Picture(
        f"figure8-{data}",
        f"Figure 8: samples of AAE and n-iter ({title})",
        partial(draw_samples, results, paper, data, ("aae", "n_iter"), 4),
    )
    yield Picture(
        f"figure9-{data}",
        f"Figure 9: distance of 5,000 samples along the training, mean over seeds ({title})",
        partial(draw_curves, results, paper, data, "fid", SHOWN),
    )
    yield Picture(
        f"sigma-{data}",
        f"Mean |σ| along the training, mean over seeds and one standard deviation ({title})",
        partial(draw_curves, results, paper, data, "sigma", SHOWN),
    )
    yield Picture(
        f"figure10-{data}",
        f"Figure 10: distribution of μ (top) and σ (bottom) along the training ({title})",
        partial(draw_histograms, results, paper, data, ("aae", "n_iter", "iaae", "posterior_kl")),
    )
    for model in ("aae", "kld_loss", "posterior_kl"):
        yield Picture(
            f"traversal-{model}-{data}",
            f"Section 3.2: one dimension of the code of a held-out picture at a time, {paper.title(model)} ({title})",
            partial(draw_traversal, results, f"{model}-{data}"),
        )


# -- pictures of models ----------------------------------------------------------------------------------------------


def draw_samples(results: Results, paper: Paper, data: str, models: Sequence[str], rows: int = 1) -> Sheet:
    """Samples of each model: ``rows`` rows, of the prior's seed 0."""
    cells: list[list[Cell]] = []
    for folder in run_folders(results, [f"{model}-{data}" for model in models]):
        images = load(folder).sample(rows * PICTURES, seed=0)
        cells += [[Cell(image) for image in row] for row in images.split(PICTURES)]
    names = [name for model in models for name in (paper.title(model), *[""] * (rows - 1))]
    return Sheet(cells, rows=names, row_groups=range(rows, len(cells), rows) if rows > 1 else ())


def draw_traversal(results: Results, run: str) -> Sheet:
    """The first held-out picture's code, changed in one dimension a row by up to two deviations of the prior."""
    (folder,) = run_folders(results, [run])
    model, cfg, info = load_run(folder)
    x = to_float(load_data(cfg, info).images("test").batch([0]))
    latent = cast(LatentModel, model)
    with torch.no_grad():
        code = latent.encode(x)
    space = get_space(latent.spaces, latent.code_space)
    rows = [traverse(code, axis_direction(space, i), OFFSETS)[0] for i in range(space.shape[-1])]
    images = decode_all(latent, torch.stack(rows))
    cells = [[Cell(image) for image in row] for row in images]
    return Sheet(cells, columns=[f"{o:+g}" for o in OFFSETS], rows=[f"dimension {i}" for i in range(len(rows))])


# -- plots of numbers ------------------------------------------------------------------------------------------------


def draw_curves(results: Results, paper: Paper, data: str, column: str, models: Sequence[str]) -> Figure:
    """A metric along the training: mean over seeds, and a band of one standard deviation for sigma."""
    figure, axes = plot(paper.quantity(column, results.scale))
    metric = _monitored(paper.metric(column, results.scale))
    found = {model: _curves(results, f"{model}-{data}", metric) for model in models}
    if not any(found.values()):
        raise MissingRunError(f"no result with a curve of {metric} on {data}")
    for i, (model, curves) in enumerate(found.items()):
        if curves:
            kimg, values = aligned(curves)
            epochs, mean, std = paper.epochs(data, 1.0) * kimg, values.mean(axis=0), values.std(axis=0)
            style = "-" if i < 10 else "--"
            (line,) = axes.plot(epochs, mean, style, color=f"C{i % 10}", label=paper.title(model), linewidth=1.2)
            if column == "sigma":
                axes.fill_between(epochs, mean - std, mean + std, color=line.get_color(), alpha=0.2, linewidth=0)
    axes.set(xlabel="epoch", yscale="log")
    axes.legend(frameon=False, fontsize=7)
    return figure


def _monitored(metric: str) -> str:
    """What is measured along the training for it: distances of fewer samples."""
    return metric.replace("_10k", "_5k")


def _curves(results: Results, run: str, metric: str) -> list[dict[float, float]]:
    """The curve of each seed: values by thousand pictures."""
    found = (r.get("curves", {}).get(metric) for (name, _), r in sorted(results.found.items()) if name == run)
    return [{kimg: value for kimg, value in curve if value is not None} for curve in found if curve]


def draw_histograms(results: Results, paper: Paper, data: str, models: Sequence[str]) -> Figure:
    """Ridges of mu above ridges of sigma, a column a model, the end of the training in front."""
    folders = run_folders(results, [f"{model}-{data}" for model in models])
    figure = Figure(figsize=(3.1 * len(models), 6.2), dpi=110, layout="constrained")
    grid = figure.subplots(2, len(models), squeeze=False)
    for j, (model, folder) in enumerate(zip(models, folders, strict=True)):
        lines = [line for line in read_lines(folder / RESULTS) if line.get("checkpoint") is None]
        for axes, metric in zip(grid[:, j], ("latent_mu", "latent_sigma"), strict=True):
            shown = [line for line in lines if line["metric"] == metric]
            if not shown:
                raise MissingRunError(f"{folder} has no histogram of {metric}")
            _ridges(axes, shown, paper.epochs(data, 1.0))
        grid[0, j].set_title(paper.title(model), fontsize=9)
    grid[0, 0].set_ylabel("μ: epoch")
    grid[1, 0].set_ylabel("σ: epoch")
    return figure


def _ridges(axes: Axes, lines: Sequence[dict[str, Any]], epochs_per_kimg: float) -> None:
    """One histogram above the other, the first moment at the top; heights are shares, each of its own largest bin."""
    first = lines[0]["histogram"]
    edges = np.linspace(first["low"], first["high"], len(first["counts"]) + 1)
    centres = (edges[:-1] + edges[1:]) / 2
    for i, line in enumerate(lines):
        counts = np.array(line["histogram"]["counts"], dtype=float)
        base, colour = float(len(lines) - 1 - i), str(0.75 - 0.65 * i / max(1, len(lines) - 1))
        axes.fill_between(centres, base, base + 1.6 * counts / counts.max(), color="white", zorder=i + 2)
        axes.plot(centres, base + 1.6 * counts / counts.max(), color=colour, linewidth=0.9, zorder=i + 2)
    axes.set_yticks(
        range(len(lines)), [f"{line['kimg'] * epochs_per_kimg:.0f}" for line in reversed(lines)], fontsize=7
    )
    axes.spines[["top", "right", "left"]].set_visible(False)


# -- the command -----------------------------------------------------------------------------------------------------


def main(options: Options) -> None:
    """Draws what can be drawn, and says what cannot."""
    drawn, left_out = draw_all(all_pictures(options.results(), Paper.load()), options.output)
    print(*left_out, f"{len(drawn)} pictures are in {options.output}", sep="\n")


if __name__ == "__main__":
    command(main, __doc__, FOLDER)
