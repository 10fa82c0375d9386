"""``python -m aestyle.invert``: from pictures to codes, curves, reconstructions and a contact sheet."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from rich.progress import Progress
from torch import Tensor

from aestyle.engine.checkpoint import identity, read_checkpoint
from aestyle.engine.module import PhasedModule
from aestyle.engine.slim import write_slim
from aestyle.errors import UserError
from aestyle.latents.batches import decode_all
from aestyle.latents.codes import Codes
from aestyle.latents.inversion import Schedule, Weighted, invert_pictures, start_codes, total_distance
from aestyle.latents.optimize import Optimized
from aestyle.latents.prior import prior_codes
from aestyle.latents.spaces import find_space
from aestyle.latents.tuning import PivotalTuning
from aestyle.protocol import LatentModel
from aestyle.studies.batching import Memory, in_batches
from aestyle.studies.editing.material import BARS, read_pictures
from aestyle.studies.loading import RunInfo, load_run
from aestyle.studies.options import require_whole
from aestyle.studies.pictures import png_names, save_png
from aestyle.studies.sheets import Cell, Sheet

CODES, CURVES, PLOT, SHEET = "codes.safetensors", "curves.npz", "curves.png", "inversion.html"
TUNED, PICTURES, PARTS = "tuned.safetensors", "reconstructions", "parts"


@dataclass(frozen=True)
class Targets:
    """A model and pictures to invert.

    Args:
        model: a trained model that offers latent spaces.
        info: where it comes from.
        names: one a picture, all different.
        images: (N, C, R, R) in [-1, 1], on the model's device.
        notes: lines about pictures that were skipped.
    """

    model: PhasedModule
    info: RunInfo
    names: Sequence[str]
    images: Tensor
    notes: Sequence[str] = ()


def find_targets(
    ckpt: str,
    input: str | None = None,
    samples: int | None = None,
    limit: int | None = None,
    seed: int = 0,
    batch_size: int = 16,
    device: torch.device | str = "cpu",
) -> Targets:
    """Loads a model and pictures, or draws samples.

    Args:
        ckpt: run folder, checkpoint or name of a shipped model.
        input: folder of pictures; None: the test split of the run.
        samples: in place of pictures, this many samples of the prior.
        limit: number of pictures at most; None: all.
        seed: keys the samples.
        batch_size: samples at a time.
        device: where to compute.

    Raises:
        UserError: an option has a value that cannot be used, or there are no pictures.
    """
    for option, value, least in (("samples", samples, 1), ("images", limit, 1)):
        if value is not None:
            require_whole(option, value, least)
    if samples is not None and input is not None:
        raise UserError("give either input=<folder of pictures> or samples=<number>, not both")
    model, cfg, info = load_run(ckpt)
    if not isinstance(model, LatentModel):
        raise UserError(f"{ckpt}: {type(model).__name__} has no latent spaces that can be worked in")
    model.to(device)
    if samples is not None:
        images = decode_all(model, prior_codes(model, n=samples, seed=seed), batch_size=batch_size)
        return Targets(model, info, [f"sample-{i:05d}" for i in range(samples)], images)
    keys, images, notes = read_pictures(cfg, info, input, limit)
    names = [name.removesuffix(".png") for name in png_names(keys)]
    return Targets(model, info, names, images.to(device), notes)


@dataclass(frozen=True)
class Inversion:
    """How pictures become codes; see ``conf/invert.yaml``.

    Args:
        distances: what is to become small, by name.
        space: a space's name or another word for it, see :func:`~aestyle.latents.spaces.find_space`.
        start: one of :data:`~aestyle.latents.inversion.STARTS`.
        schedule: of the optimisation.
        restarts: random starts, the best of which counts.
        seed: keys noise and random starts.
        tune: how the generator is tuned afterwards; None: not at all.
        batch_size: pictures at a time.
        told: all options in plain values, for the files and to know a batch again.
    """

    distances: Mapping[str, Weighted]
    space: str | None = None
    start: str = "mean"
    schedule: Schedule = Schedule()  # noqa: RUF009 (frozen)
    restarts: int = 1
    seed: int = 0
    tune: PivotalTuning | None = None
    batch_size: int = 16
    told: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        """Looks at the whole numbers."""
        for name, least in {"restarts": 1, "seed": 0, "batch_size": 1}.items():
            require_whole(name, getattr(self, name), least)

    def __call__(self, targets: Targets, output: Path) -> list[str]:
        """Inverts pictures, writes what came out and says where it is.

        The folder gets ``codes.safetensors`` (see :mod:`aestyle.latents.codes`), ``curves.npz`` (each weighted loss
        before each step and at the end, (steps + 1, N), and the names) and ``curves.png``, ``reconstructions/``, the
        page ``inversion.html``, and with ``tune`` the model ``tuned.safetensors``, which every command takes as
        ``ckpt``. Finished batches lie in ``parts/``: with equal options, pictures and checkpoint they are not
        computed again.
        """
        model, images = targets.model, targets.images
        assert isinstance(model, LatentModel)
        space = find_space(model, self.space)
        start_codes(model, images[:1], space, self.start, self.seed)  # refuses before there is any folder
        checkpoint = identity(targets.info.checkpoint)
        memory = Memory(output / PARTS, json.dumps([space, checkpoint, self.told], sort_keys=True))

        def run(batch: Tensor, position: int, progress: Callable[[int], None]) -> Optimized:
            how = (space, self.start, self.schedule, self.restarts, self.seed, position, progress)
            return invert_pictures(model, batch, self.distances, *how)

        steps = self.schedule.steps * self.restarts
        found = in_batches(memory.of(run), images, self.batch_size, steps, "inverting")
        memory.forget_others()
        origin = (targets.model.name, str(targets.info.checkpoint), checkpoint)
        facts = {"inversion": json.dumps(self.told)}
        Codes(found.codes, space, targets.names, *origin, facts=facts).save(output / CODES)
        rec = decode_all(model, found.codes, space, self.batch_size)
        curves, columns = dict(found.curves), {"target": images, "reconstruction": rec}
        total = curves["total"]
        ends = zip(total[0], total[-1], strict=True)
        captions = {"reconstruction": [f"{end:.4g}\nfrom {first:.4g}" for first, end in ends]}
        lines = [
            *targets.notes,
            f"{len(images)} pictures inverted into {space}: median distance {_median(total[0]):.4g} -> "
            f"{_median(total[-1]):.4g} ({' + '.join(name for name in curves if name != 'total')})",
        ]
        if self.tune is not None:
            tuned, curves["tuning"] = self._tune(targets, found.codes, space)
            assert isinstance(tuned, LatentModel)
            columns["tuned"] = decode_all(tuned, found.codes, space, self.batch_size)
            distances = self._distances(images, columns["tuned"])
            captions["tuned"] = [f"{distance:.4g}" for distance in distances]
            save_tuned(tuned, targets.info, output / TUNED)
            lines.append(f"tuned on them: median distance {_median(distances):.4g}; the model is {output / TUNED}")
        return [*lines, *write_all(targets.names, columns, captions, curves, self.schedule, lines, output)]

    def _tune(self, targets: Targets, codes: Tensor, space: str) -> tuple[PhasedModule, Tensor]:
        assert self.tune is not None
        with Progress(transient=True, console=BARS, disable=not BARS.is_terminal) as bar:
            task = bar.add_task("tuning", total=self.tune.steps)
            how = (self.distances, space, self.batch_size, lambda: bar.advance(task))
            return self.tune(targets.model, codes, targets.images, *how)

    @torch.no_grad()
    def _distances(self, images: Tensor, rec: Tensor) -> Tensor:
        """The loss of each picture: (N,), on the CPU."""
        batches = zip(images.split(self.batch_size), rec.split(self.batch_size), strict=True)
        return torch.cat([total_distance(x, y, self.distances).cpu() for x, y in batches])


def _median(values: Tensor) -> float:
    """The mean of the two middle ones of an even number; torch's own takes the lower one."""
    return float(values.double().quantile(0.5))


def save_tuned(tuned: PhasedModule, info: RunInfo, path: Path) -> None:
    """Writes a model with the networks of ``tuned`` and all else as in the checkpoint that it came from."""
    state = {f"ema.{name}": value for name, value in tuned.ema.state_dict().items()}
    write_slim(path, {**read_checkpoint(info.checkpoint), "state_dict": state}, tuned.config_yaml, torch.float32)


def write_all(
    names: Sequence[str],
    columns: Mapping[str, Tensor],
    captions: Mapping[str, Sequence[str]],
    curves: Mapping[str, Tensor],
    schedule: Schedule,
    notes: Sequence[str],
    output: Path,
) -> list[str]:
    """Writes curves, pictures and the contact sheet; says where they are.

    Args:
        names: one a picture.
        columns: pictures (N, C, R, R) by what they are.
        captions: distances below them, for those that have any.
        curves: losses (steps + 1, N) by name.
        schedule: of the inversion.
        notes: lines for the head of the page.
        output: folder for the files.
    """
    arrays: dict[str, Any] = {name: curve.numpy() for name, curve in curves.items()}
    np.savez(output / CURVES, names=np.array(names), **arrays)
    curves_figure({"": curves["total"]}, round(schedule.shrink_until * schedule.steps)).savefig(output / PLOT)
    for name, image in zip(names, columns["reconstruction"], strict=True):
        save_png(image, output / PICTURES / f"{name}.png")
    rows = [
        [Cell(images[i].cpu(), captions[kind][i] if kind in captions else "") for kind, images in columns.items()]
        for i in range(len(names))
    ]
    sheet = Sheet(rows, f"Inversion in {schedule.steps} steps", columns=list(columns), rows=names)
    page = sheet.save_html(output / SHEET, notes)
    return [f"codes are in {output / CODES}, curves in {output / CURVES} and {PLOT}, pictures and distances in {page}"]


def curves_figure(curves: Mapping[str, Tensor], marker: int = 0, every: int = 1) -> Figure:
    """Loss against step: the median of all pictures as a line, the middle half of them as an area.

    Args:
        curves: losses (points, N), by label.
        marker: a step to mark with a dotted line, such as where shrinking ends; 0: none.
        every: steps from point to point.
    """
    figure = Figure(figsize=(7, 4.5), dpi=100, layout="constrained")
    ax = figure.subplots()
    for label, curve in curves.items():
        low, middle, high = (curve.double().quantile(q, dim=1) for q in (0.25, 0.5, 0.75))
        steps = range(0, every * len(curve), every)
        (line,) = ax.plot(steps, middle, label=label, linewidth=1.2)
        ax.fill_between(steps, low, high, alpha=0.2, color=line.get_color(), linewidth=0)
    if marker:
        ax.axvline(marker, linestyle=":", color="grey", linewidth=1)
    ax.set(xlabel="step", ylabel="distance (median, quartiles)", yscale="log")
    ax.grid(alpha=0.3)
    ax.spines[["top", "right"]].set_visible(False)
    if any(curves):
        ax.legend(frameon=False)
    return figure
