"""Latent tools on pictures, as sheets, films and codes: what ``python -m aestyle.edit`` does."""

import json
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import Protocol

import torch
from omegaconf import DictConfig
from rich.console import Console
from rich.progress import Progress, track
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from aestyle.data.transforms import Preparation, to_float
from aestyle.errors import UserError
from aestyle.latents.batches import code_shape, decode_all, encode_all
from aestyle.latents.interpolation import interpolate
from aestyle.latents.mixing import Layers, choose_layers, mix_all_pairs, to_layers
from aestyle.latents.optimize import InDomainLoss, Perceptual, refine
from aestyle.latents.prior import mean_code, prior_codes
from aestyle.latents.traversal import (
    axis_direction,
    only_layers,
    standard_step,
    traverse,
    truncate,
    widest_dimensions,
)
from aestyle.protocol import LatentModel
from aestyle.studies.loading import RunInfo, load_data, load_run
from aestyle.studies.options import require_whole
from aestyle.studies.pictures import read_usable, skipped_line
from aestyle.studies.sheets import Cell, Sheet, can_write_mp4, save_gif, save_mp4

_BARS = Console(stderr=True)
"""Where progress bars go: to a person, not into a file."""


@dataclass(frozen=True)
class Material:
    """A model and the pictures that a task works on.

    Args:
        model: a trained model.
        names: one a picture.
        images: the pictures (N, C, R, R) in [-1, 1]; None for samples of the prior, which have no originals.
        codes: their codes (N, *shape of a code) in the model's own space.
        batch_size: pictures at a time; changes none of them.
        origin: for the files of codes: where the model came from.
    """

    model: LatentModel
    names: Sequence[str]
    images: Tensor | None
    codes: Tensor
    batch_size: int = 16
    origin: str = ""

    def decode(self, codes: Tensor, space: str | None = None, what: str = "decoding") -> Tensor:
        """Images (..., C, R, R) of codes (..., *shape of a code), under a progress bar; on the CPU."""
        return decode_all(self.model, codes, space, self.batch_size, _tracked(what)).cpu()

    def originals(self) -> list[list[Cell | None]]:
        """One a picture: the column of originals at the left of a sheet; empty for samples."""
        return [[]] * len(self.names) if self.images is None else [[Cell(image)] for image in self.images.cpu()]

    @property
    def decoded(self) -> str:
        """How labels call what a code of this material decodes to."""
        return "sample" if self.images is None else "G(E(x))"

    def save_codes(self, file: Path, space: str | None = None, **tensors: Tensor) -> Path:
        """Writes tensors as safetensors, with the codes' space, the names and the model's origin as metadata."""
        facts = {"space": space or self.model.code_space, "names": json.dumps(list(self.names)), "model": self.origin}
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(save({name: tensor.cpu().contiguous() for name, tensor in tensors.items()}, facts))
        return file


class Task(Protocol):
    """One latent tool with its options."""

    @property
    def images(self) -> int | None:
        """How many pictures it takes at most; None: all."""
        ...

    def __call__(self, material: Material, output: Path) -> list[str]:
        """Writes its files into a folder and says in a few lines what they are."""
        ...


def gather(
    ckpt: str,
    limit: int | None = None,
    input: str | None = None,
    samples: int | None = None,
    seed: int = 0,
    batch_size: int = 16,
    device: torch.device | str = "cpu",
) -> tuple[Material, list[str]]:
    """Loads a model and encodes pictures, or draws samples.

    Args:
        ckpt: run folder, checkpoint or name of a shipped model.
        limit: number of pictures at most; None: all.
        input: folder of pictures; None: the test split of the run, evenly spread.
        samples: in place of pictures, this many samples of the prior.
        seed: keys the samples.
        batch_size: pictures at a time.
        device: where to compute.

    Returns:
        What a task works on, and a line about pictures that were skipped, if there were any.

    Raises:
        UserError: an option has a value that cannot be used, there are no pictures, or the model has no encoder.
    """
    for option, value, least in (("batch_size", batch_size, 1), ("seed", seed, 0), ("samples", samples, 1)):
        if value is not None:
            require_whole(option, value, least)
    if samples is not None and input is not None:
        raise UserError("give either input=<folder of pictures> or samples=<number>, not both")
    model, cfg, info = load_run(ckpt)
    if not isinstance(model, LatentModel):
        raise UserError(f"{ckpt}: {type(model).__name__} has no latent spaces that can be worked in")
    model.to(device)
    origin = str(info.checkpoint)
    if samples is not None:
        names = [f"sample {i}" for i in range(samples)]
        return Material(model, names, None, prior_codes(model, n=samples, seed=seed), batch_size, origin), []
    names, pixels, broken = _held_out(cfg, info, limit) if input is None else _folder(Path(input), cfg.data, limit)
    images = to_float(pixels).to(device)
    codes = encode_all(model, images, batch_size, _tracked("encoding"))
    notes = [f"{input}: {skipped_line(broken)}"] if broken else []
    return Material(model, [PurePosixPath(name).stem for name in names], images, codes, batch_size, origin), notes


def _folder(path: Path, data: DictConfig, limit: int | None) -> tuple[list[str], Tensor, dict[str, str]]:
    return read_usable(path, Preparation(data.resolution, data.channels, data.crop, data.filter), limit)


def _held_out(cfg: DictConfig, info: RunInfo, limit: int | None) -> tuple[list[str], Tensor, dict[str, str]]:
    """Pictures spread over the test split."""
    try:
        data = load_data(cfg, info)
        if not data.has("test"):
            raise UserError(f"{data.name} has no test split")
        test = data.images("test")
    except UserError as error:
        raise UserError(f"{error}; or give input=<folder of pictures>, or samples=8") from error
    count = len(test) if limit is None else min(limit, len(test))
    chosen = [i * len(test) // count for i in range(count)]
    return [test.keys[i] for i in chosen], test.batch(chosen), {}


# -- tasks -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Mix:
    """Layer mixing, laid out as Figure 6 of AE-StyleGAN: B above, A on the left, G(A with B's layers) between.

    Args:
        layers: which layers come from B (see :data:`~aestyle.latents.mixing.Layers`); None: the last 5 of 12,
            scaled to the model's depth.
        a: number of pictures A, the rows: the first ones.
        b: number of pictures B, the columns: those after them. With fewer than a + b pictures, all are both.
    """

    layers: Layers | None = None
    a: int = 5
    b: int = 6

    def __post_init__(self) -> None:
        """Refuses numbers of pictures that cannot be."""
        require_whole("task.a", self.a, 1)
        require_whole("task.b", self.b, 1)

    @property
    def images(self) -> int:
        """A and B together."""
        return self.a + self.b

    def __call__(self, material: Material, output: Path) -> list[str]:
        """Writes ``mix.png`` and ``mix.safetensors``."""
        codes, space = to_layers(material.model, material.codes)
        layers = choose_layers(self.layers, codes.shape[1])
        enough = len(codes) >= self.a + self.b
        rows, columns = (slice(self.a), slice(self.a, self.a + self.b)) if enough else (slice(self.a), slice(self.b))
        mixed = mix_all_pairs(codes[rows], codes[columns], layers)
        rec = [Cell(image) for image in material.decode(codes, space)]
        body = [[Cell(image) for image in row] for row in material.decode(mixed, space, "mixing")]
        originals = [cell for row in material.originals() for cell in row]
        shown: list[list[Cell | None]] = [originals, list(rec)] if originals else [list(rec)]
        corner: list[Cell | None] = [None] * len(shown)
        header = [[*corner, *kind[columns]] for kind in shown]
        left = list(zip(*(kind[rows] for kind in shown), strict=True))
        side = ["picture", material.decoded][-len(shown) :]
        sheet = Sheet(
            [*header, *([*cells, *row] for cells, row in zip(left, body, strict=True))],
            title=f"layers {_ranges(layers)} of 0–{codes.shape[1] - 1} from B (above) into A (left)",
            columns=[*side, *material.names[columns]],
            rows=[*(f"B: {kind}" for kind in side), *material.names[rows]],
            row_groups=[len(shown)],
            column_groups=[len(shown)],
        )
        path = sheet.save(output / "mix.png")
        saved = material.save_codes(output / "mix.safetensors", space, mixed=mixed, codes=codes)
        return [f"{mixed.shape[0]} x {mixed.shape[1]} mixtures are in {path}, their codes in {saved}"]


@dataclass(frozen=True)
class Interpolate:
    """A path through pictures, as a strip for each pair of neighbours and as a film of all.

    Args:
        how: ``lerp`` or ``slerp``.
        space: where the path runs: the model's own space (None) or a wider one.
        images: number of pictures it goes through; None: all.
        columns: pictures in a strip, both ends included.
        frames: frames of the film from one picture to the next.
        fps: frames a second.
        closed: the film goes back to its first picture.
    """

    how: str = "lerp"
    space: str | None = None
    images: int | None = 5
    columns: int = 8
    frames: int = 24
    fps: int = 24
    closed: bool = True

    def __post_init__(self) -> None:
        """Refuses numbers that cannot be."""
        for name, least in {"columns": 2, "frames": 1, "fps": 1}.items():
            require_whole(f"task.{name}", getattr(self, name), least)
        _require_images(self.images, 2)

    def __call__(self, material: Material, output: Path) -> list[str]:
        """Writes ``interpolate.png``, ``.gif``, ``.mp4`` where the package ``av`` is there, and ``.safetensors``."""
        model = material.model
        space = self.space or model.code_space
        codes = model.convert_code(material.codes, model.code_space, space)
        steps = self.columns - 1
        path = interpolate(codes, steps, self.how)
        strip = [Cell(image) for image in material.decode(path, space, "strips")]
        ends = material.originals()
        rows = [
            [*ends[i], *strip[i * steps : (i + 1) * steps + 1], *ends[i + 1]] for i in range(len(material.names) - 1)
        ]
        aside = len(ends[0])
        sheet = Sheet(
            rows,
            title=f"{self.how} in {space}",
            columns=[*["picture"] * aside, *(f"{i / steps:.2f}" for i in range(steps + 1)), *["picture"] * aside],
            rows=[f"{a} – {b}" for a, b in zip(material.names, material.names[1:], strict=False)],
            column_groups=[aside, aside + steps + 1],
        )
        film = material.decode(interpolate(codes, self.frames, self.how, self.closed), space, "film")
        written = [sheet.save(output / "interpolate.png"), save_gif(film, output / "interpolate.gif", self.fps)]
        missing = []
        if can_write_mp4():
            written.append(save_mp4(film, output / "interpolate.mp4", self.fps))
        else:
            missing = ["no mp4: it takes the package av (pip install 'aestyle[video]')"]
        written.append(material.save_codes(output / "interpolate.safetensors", space, path=path, codes=codes))
        return [*missing, f"the way through {len(codes)} pictures is in {', '.join(map(str, written))}"]


@dataclass(frozen=True)
class Traverse:
    """Walks from codes along directions, in standard deviations of the prior's codes.

    Args:
        dimensions: indices of style dimensions; None: the ``rows`` ones in which the prior varies most.
        rows: how many of them.
        direction: in place of dimensions, a safetensors file whose tensors are directions, of the shape of a code or
            of one layer's part of it.
        layers: layers that move; None: all.
        images: number of pictures to start from; None: all.
        reach: how far the walk goes to both sides, in standard deviations.
        columns: pictures in a row; odd, so that the reconstruction itself is in the middle.
    """

    dimensions: Sequence[int] | None = None
    rows: int = 6
    direction: str | None = None
    layers: Layers | None = None
    images: int | None = 1
    reach: float = 3.0
    columns: int = 7

    def __post_init__(self) -> None:
        """Refuses numbers that cannot be."""
        require_whole("task.rows", self.rows, 1)
        require_whole("task.columns", self.columns, 3)
        _require_images(self.images, 1)
        if not _is_number(self.reach):
            raise UserError(f"task.reach={self.reach}: give a number of standard deviations")
        if self.columns % 2 == 0:
            raise UserError(f"task.columns={self.columns}: give an odd number, the middle one is the reconstruction")
        if self.dimensions is not None and not isinstance(self.dimensions, Sequence):
            raise UserError(f"task.dimensions={self.dimensions}: give a list, as [0,5]")
        if self.dimensions is not None and self.direction is not None:
            raise UserError("give either task.dimensions or task.direction, not both")

    def __call__(self, material: Material, output: Path) -> list[str]:
        """Writes ``traverse.png`` and ``traverse.safetensors``."""
        prior = prior_codes(material.model)
        half = self.columns // 2
        offsets = [self.reach * i / half for i in range(-half, half + 1)]
        directions = self._directions(material.model, prior)
        walks = torch.stack(
            [traverse(material.codes, standard_step(d.to(prior), prior), offsets) for d in directions.values()], dim=1
        )
        images = material.decode(walks, what="traversing")
        cells = [
            [*original, *(Cell(image) for image in row)]
            for original, rows in zip(material.originals(), images, strict=True)
            for row in rows
        ]
        aside = len(material.originals()[0])
        names = [""] if len(material.names) == 1 else [f"{name}, " for name in material.names]
        sheet = Sheet(
            cells,
            title=f"{material.names[0] if len(names) == 1 else 'pictures'} moved in {material.model.code_space}",
            columns=[*["picture"] * aside, *(f"{offset:+g} σ" if offset else material.decoded for offset in offsets)],
            rows=[f"{name}{direction}" for name in names for direction in directions],
            column_groups=[aside],
        )
        path = sheet.save(output / "traverse.png")
        saved = material.save_codes(output / "traverse.safetensors", walks=walks, codes=material.codes)
        return [f"walks along {len(directions)} directions are in {path}, their codes in {saved}"]

    def _directions(self, model: LatentModel, prior: Tensor) -> dict[str, Tensor]:
        space = model.spaces[model.code_space]
        layers = "0-" if self.layers is None else self.layers
        if self.direction is not None:
            found = _read_directions(Path(self.direction), code_shape(model))
            return {name: only_layers(direction, space, layers) for name, direction in found.items()}
        dimensions = widest_dimensions(prior, self.rows) if self.dimensions is None else self.dimensions
        for d in dimensions:
            require_whole("task.dimensions", d, 0)
        return {f"dimension {d}": axis_direction(space, d, layers) for d in dimensions}


@dataclass(frozen=True)
class Truncate:
    """Codes between the prior's mean and beyond themselves.

    Args:
        psis: 0 is the mean, 1 the code.
        images: number of pictures; None: all.
    """

    psis: Sequence[float] = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25)
    images: int | None = 6

    def __post_init__(self) -> None:
        """Refuses what is no list of numbers."""
        _require_images(self.images, 1)
        if not isinstance(self.psis, Sequence) or not self.psis or not all(map(_is_number, self.psis)):
            raise UserError(f"task.psis={self.psis}: give some numbers, as [0,0.5,1]")

    def __call__(self, material: Material, output: Path) -> list[str]:
        """Writes ``truncate.png`` and ``truncate.safetensors``."""
        codes = truncate(material.codes, mean_code(material.model), self.psis)
        images = material.decode(codes, what="truncating")
        originals = material.originals()
        aside = len(originals[0])
        sheet = Sheet(
            [[*original, *map(Cell, row)] for original, row in zip(originals, images, strict=True)],
            title=f"codes of {material.model.code_space} between the mean (ψ = 0) and themselves (ψ = 1)",
            columns=[*["picture"] * aside, *(f"ψ = {psi:g}" for psi in self.psis)],
            rows=material.names,
            column_groups=[aside],
        )
        path = sheet.save(output / "truncate.png")
        saved = material.save_codes(output / "truncate.safetensors", truncated=codes, codes=material.codes)
        return [f"{len(codes)} pictures at {len(self.psis)} truncations are in {path}, their codes in {saved}"]


@dataclass(frozen=True)
class Refine:
    """Optimises E(x) so that G(E(x)) comes closer to x (in-domain inversion).

    Args:
        perceptual: perceptual distance; None leaves it out.
        weights: weights of the loss.
        steps: optimisation steps.
        lr: learning rate of Adam.
        space: space of the codes: the model's own (None) or a wider one.
        images: number of pictures; None: all.
    """

    perceptual: Perceptual | None = None
    weights: InDomainLoss = field(default_factory=InDomainLoss)
    steps: int = 100
    lr: float = 0.01
    space: str | None = None
    images: int | None = 12

    def __post_init__(self) -> None:
        """Refuses numbers that cannot be."""
        require_whole("task.steps", self.steps, 1)
        _require_images(self.images, 1)
        if not _is_number(self.lr) or self.lr <= 0:
            raise UserError(f"task.lr={self.lr}: give a number above 0")

    def __call__(self, material: Material, output: Path) -> list[str]:
        """Writes ``refine.png`` and ``refine.safetensors``, with the curves of every picture."""
        model, targets = material.model, material.images
        if targets is None:
            raise UserError("task=refine brings a code closer to a picture: give input=<folder>, not samples")
        space = self.space or model.code_space
        start = model.convert_code(material.codes, model.code_space, space)
        codes, curves = self._optimize(model, targets, space, material.batch_size)
        kinds = {"picture": targets.cpu()}
        for kind, code in {"G(E(x))": start, "refined": codes}.items():
            kinds[kind] = material.decode(code, space)
        distances = {kind: self._distances(kinds["picture"], images) for kind, images in kinds.items()}
        captions = {
            kind: ["  ".join(f"{d:.3f}" for d in found.values()) for found in distances[kind]] for kind in kinds
        }
        captions["picture"] = list(material.names)
        cells = [[Cell(kinds[kind][i], captions[kind][i]) for kind in kinds] for i in range(len(targets))]
        measures = ", ".join(distances["refined"][0])
        per_row = 3 if len(cells) > 6 else 1  # pictures side by side
        rows = [list(chain(*cells[i : i + per_row])) for i in range(0, len(cells), per_row)]
        sheet = Sheet(
            rows,
            title=f"{self.steps} steps in {space}; below: {measures}",
            columns=list(kinds) * per_row,
            column_groups=range(0, len(kinds) * per_row, len(kinds)),
        )
        path = sheet.save(output / "refine.png")
        saved = material.save_codes(output / "refine.safetensors", space, codes=codes, start=start, **curves)
        before, after = (_means(distances[kind]) for kind in ("G(E(x))", "refined"))
        changes = ", ".join(f"{name} {before[name]:.4f} -> {after[name]:.4f}" for name in before)
        return [f"{len(codes)} pictures refined (mean {changes}) are in {path}, codes and curves in {saved}"]

    def _optimize(
        self, model: LatentModel, targets: Tensor, space: str, batch_size: int
    ) -> tuple[Tensor, dict[str, Tensor]]:
        batches = targets.split(batch_size)
        with Progress(transient=True, console=_BARS, disable=not _BARS.is_terminal) as bar:
            overall = bar.add_task("refining", total=len(batches) * self.steps)
            results = [
                refine(
                    *(model, batch, self.perceptual, self.weights, self.steps, self.lr, space),
                    progress=lambda done: bar.advance(overall),
                )
                for batch in batches
            ]
        curves = {
            f"curves/{name}": torch.cat([result.curves[name] for result in results], dim=1)
            for name in results[0].curves
        }
        return torch.cat([result.codes for result in results]), curves

    @torch.no_grad()
    def _distances(self, targets: Tensor, images: Tensor) -> list[dict[str, float]]:
        """Unweighted distances of each picture."""
        distances = []
        for x, rec in zip(targets.split(1), images.split(1), strict=True):
            found = {"mse": (x - rec).square().mean().item()}
            if self.perceptual is not None:
                found["perceptual"] = self.perceptual(x, rec).item()
            distances.append(found)
        return distances


# -- helpers ---------------------------------------------------------------------------------------------------------


def _read_directions(path: Path, shape: tuple[int, ...]) -> dict[str, Tensor]:
    try:
        found = load_file(path)
    except (OSError, SafetensorError) as error:
        raise UserError(f"{path}: cannot be read as safetensors ({error})") from error
    for name, direction in found.items():
        if tuple(direction.shape) not in (shape, shape[-1:]):
            raise UserError(f"{path}: {name} has the shape {tuple(direction.shape)}; a code has {shape}")
    if not found:
        raise UserError(f"{path}: holds no direction")
    return {name: direction.expand(shape).clone() for name, direction in found.items()}


def _require_images(images: int | None, least: int) -> None:
    if images is not None:
        require_whole("task.images", images, least)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _tracked(what: str) -> Callable[[Sequence[Tensor]], Iterable[Tensor]]:
    return lambda batches: track(batches, what, transient=True, console=_BARS, disable=not _BARS.is_terminal)


def _ranges(numbers: Sequence[int]) -> str:
    """``[0, 1, 2, 7]`` as ``0–2, 7``."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and parts[-1][-1] == number - 1:
            parts[-1].append(number)
        else:
            parts.append([number])
    return ", ".join(f"{part[0]}–{part[-1]}" if len(part) > 1 else str(part[0]) for part in parts) or "none"


def _means(distances: Sequence[dict[str, float]]) -> dict[str, float]:
    return {name: sum(d[name] for d in distances) / len(distances) for name in distances[0]}
