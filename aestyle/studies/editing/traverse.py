"""``task=traverse`` and ``task=truncate``."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from aestyle.errors import UserError
from aestyle.latents.batches import code_shape
from aestyle.latents.mixing import Layers
from aestyle.latents.prior import affordable, mean_code, prior_codes
from aestyle.latents.traversal import (
    axis_direction,
    only_layers,
    standard_step,
    traverse,
    truncate,
    widest_dimensions,
)
from aestyle.protocol import LatentModel
from aestyle.studies.editing.material import Material, require_images
from aestyle.studies.options import is_number, require_whole
from aestyle.studies.sheets import Cell, Sheet


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
        require_images(self.images, 1)
        if not is_number(self.reach):
            raise UserError(f"task.reach={self.reach}: give a number of standard deviations")
        if self.columns % 2 == 0:
            raise UserError(f"task.columns={self.columns}: give an odd number, the middle one is the reconstruction")
        if self.dimensions is not None and not isinstance(self.dimensions, Sequence):
            raise UserError(f"task.dimensions={self.dimensions}: give a list, as [0,5]")
        if self.dimensions is not None and self.direction is not None:
            raise UserError("give either task.dimensions or task.direction, not both")

    def __call__(self, material: Material, output: Path) -> list[str]:
        """Writes ``traverse.png`` and ``traverse.safetensors``."""
        prior = prior_codes(material.model, n=affordable(material.model))
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
        require_images(self.images, 1)
        if not isinstance(self.psis, Sequence) or not self.psis or not all(map(is_number, self.psis)):
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
