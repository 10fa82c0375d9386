"""How a run went, for people: curves, pictures, and a table of what was measured."""

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rich.table import Table
from torch import Tensor
from torch.nn.functional import interpolate

from aestyle.data.datamodule import ImageDataModule
from aestyle.data.transforms import to_float
from aestyle.engine.callbacks.grids import beside, save_grid
from aestyle.engine.callbacks.stats import FILE as STATS
from aestyle.engine.module import PhasedModule
from aestyle.errors import UserError
from aestyle.studies.loading import RunInfo, load_data, load_run

Line = dict[str, Any]
"""One line of ``stats.jsonl`` or ``metrics.jsonl``."""

CURVES, RECONSTRUCTIONS, SAMPLES = "curves.png", "reconstructions.png", "samples.png"

PANELS: dict[str, tuple[Callable[[str], bool], str]] = {
    "losses": (lambda name: name.startswith("loss/"), "log"),
    "discriminator scores": (lambda name: name.startswith("score/") and name != "score/cosine", "linear"),
    "beta and path length": (lambda name: name in {"health/beta", "health/path_length"}, "log"),
    "codes": (lambda name: name.startswith("latent/") or name == "health/code_std", "linear"),
    "signs and probabilities": (lambda name: name.startswith(("health/real_sign", "health/ada_p")), "linear"),
    "sphere": (lambda name: name in {"health/kl_real_above_floor", "score/cosine"}, "linear"),
    "gradient norms": (lambda name: name.startswith("grad_norm/"), "log"),
}
"""Which statistics are drawn together, and on which scale."""

MEAN_IMAGE = "mse_mean_image"


def draw(
    run: str | Path, device: torch.device | str = "cpu", batch_size: int = 16
) -> tuple[RunInfo, list[Path], list[str]]:
    """Draws ``curves.png``, ``reconstructions.png`` and ``samples.png`` into a run folder.

    Args:
        run: the run folder.
        device: where the model computes.
        batch_size: pictures at a time; changes none of them.

    Returns:
        Where the model comes from, the pictures' paths, and a line for each picture that has no meaning here.

    Raises:
        UserError: there is no such run, or it has no statistics.
    """
    model, cfg, info = load_run(run)
    lines = read_lines(info.run_dir / STATS)
    if not lines:
        raise UserError(f"{info.run_dir}: holds no {STATS} to draw; give the folder of a run that aestyle.train wrote")
    curves, reconstructions, samples = (info.run_dir / name for name in (CURVES, RECONSTRUCTIONS, SAMPLES))
    training_curves(lines).savefig(curves)
    model.to(device)
    draw_samples(model, samples, batch_size=batch_size)
    data = load_data(cfg, info) if model.has_encoder else None
    if data is None:
        return info, [curves, samples], [f"{RECONSTRUCTIONS} is left out: {cfg.method.name} has no encoder"]
    if not data.has("test"):
        return info, [curves, samples], [f"{RECONSTRUCTIONS} is left out: {data.name} has no test split"]
    draw_reconstructions(model, data, reconstructions, batch_size=batch_size)
    return info, [curves, reconstructions, samples], []


def read_lines(path: Path) -> list[Line]:
    """The lines of a JSONL file; none if there is no such file. A line that was cut short is left out."""
    lines = []
    for text in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        try:
            lines.append(json.loads(text))
        except json.JSONDecodeError:
            continue
    return lines


# -- pictures --------------------------------------------------------------------------------------------------------


def training_curves(lines: Sequence[Line]) -> Figure:
    """Training statistics against thousand images, 1200 pixels wide.

    Args:
        lines: what ``stats.jsonl`` holds; a name need not be in every line.
    """
    names = sorted({name for line in lines for name in line})
    panels = {title: list(filter(chosen, names)) for title, (chosen, _) in PANELS.items()}
    panels = {title: shown for title, shown in panels.items() if shown}
    rows = max(1, -(-len(panels) // 2))
    figure = Figure(figsize=(12, 4.2 * rows), dpi=100, layout="constrained")
    axes = figure.subplots(rows, 2, squeeze=False).flatten()
    for ax, (title, shown) in zip(axes, panels.items(), strict=False):
        _draw_panel(ax, lines, shown)
        ax.set(title=title, xlabel="kimg")
        values = [line[name] for line in lines for name in shown if name in line]
        if max(values, default=0) > 0:
            scale = PANELS[title][1]
            ax.set_yscale("symlog" if scale == "log" and min(values) < 0 else scale)  # a critic's losses
    for ax in axes[len(panels) :]:
        ax.remove()
    return figure


def _draw_panel(ax: Axes, lines: Sequence[Line], names: Sequence[str]) -> None:
    marker = "o" if len(lines) < 30 else ""  # a curve of one point is nothing but its marker
    for name in names:
        points = [(line["kimg"], line[name]) for line in lines if name in line]
        ax.plot(*zip(*points, strict=True), label=name.partition("/")[2], linewidth=1.2, marker=marker, markersize=3)
    ax.grid(alpha=0.3)
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False)


@torch.no_grad()
def draw_reconstructions(
    model: PhasedModule, data: ImageDataModule, path: Path, images: int = 40, batch_size: int = 16
) -> None:
    """Draws held-out pictures above their reconstructions.

    Args:
        model: a trained model with an encoder.
        data: its data; the pictures are spread over its test split.
        path: the PNG.
        images: how many pictures at most.
        batch_size: pictures at a time.
    """
    test = data.images("test")
    count = min(images, len(test))
    x = to_float(test.batch([i * len(test) // count for i in range(count)]))
    rec = torch.cat([model.decode(model.encode(part.to(model.device))).cpu() for part in x.split(batch_size)])
    save_grid(enlarged(beside(x, rec)), path)


@torch.no_grad()
def draw_samples(model: PhasedModule, path: Path, images: int = 64, seed: int = 0, batch_size: int = 16) -> None:
    """Draws samples of the prior.

    Args:
        model: a trained model.
        path: the PNG.
        images: how many.
        seed: keys them.
        batch_size: samples at a time.
    """
    codes = model.prior(images, seed)
    save_grid(enlarged(torch.cat([model.decode(part, "z").cpu() for part in codes.split(batch_size)])), path)


def enlarged(images: Tensor, size: int = 96) -> Tensor:
    """Small images (N, C, H, W) with every pixel repeated, so that they get up to ``size`` pixels high."""
    return interpolate(images, scale_factor=max(1, size // images.shape[-1]), mode="nearest")


# -- the table -------------------------------------------------------------------------------------------------------


def newest(records: Iterable[Line]) -> list[Line]:
    """The last record of each metric and split, in the order in which these first came."""
    return list({(record["metric"], record["split"]): record for record in records}.values())


def results_table(records: Sequence[Line], title: str | None = None) -> Table:
    """The records as a table for people.

    Mean squared errors are put beside that of the mean image, where it was measured on the same split.

    Args:
        records: from ``metrics.jsonl``.
        title: heading.
    """
    mean_image = {r["split"]: r["value"] for r in records if r["metric"] == MEAN_IMAGE}
    shown = Table(title=title)
    shown.add_column("metric", no_wrap=True)
    shown.add_column("value", justify="right", no_wrap=True)
    if mean_image:
        shown.add_column("times lower than\nthe mean image", justify="right")
    for name in ("split", "images", "kimg"):
        shown.add_column(name, justify="left" if name == "split" else "right")
    for r in records:
        ratio = [_times_lower(r, mean_image)] if mean_image else []
        shown.add_row(r["metric"], _number(r["value"]), *ratio, r["split"], str(r["num_images"]), _number(r["kimg"]))
    return shown


def _times_lower(record: Line, mean_image: dict[str, float | None]) -> str:
    reference = mean_image.get(record["split"])
    is_mse = record["metric"] == "rec_mse" or record["metric"].startswith("mse_")
    if not is_mse or record["metric"] == MEAN_IMAGE or not record["value"] or not reference:
        return ""
    return f"{reference / record['value']:.2f}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"
