"""Strips: pictures moved along directions, one row a direction."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from aestyle.errors import UserError
from aestyle.latents.directions import Directions
from aestyle.latents.mixing import Layers, layered_space
from aestyle.latents.traversal import only_layers, traverse
from aestyle.protocol import LatentModel
from aestyle.studies.editing.material import Material, publish
from aestyle.studies.options import is_number, require_whole
from aestyle.studies.sheets import Cell, Sheet


def symmetric(reach: float, columns: int) -> list[float]:
    """Evenly spaced offsets from ``-reach`` to ``reach``, with 0 in the middle.

    Raises:
        UserError: ``columns`` is not odd or below 3, or ``reach`` is no number.
    """
    require_whole("task.columns", columns, 3)
    if not is_number(reach):
        raise UserError(f"task.reach={reach}: give a number of standard deviations")
    if columns % 2 == 0:
        raise UserError(f"task.columns={columns}: give an odd number, the middle one is the reconstruction")
    half = columns // 2
    return [reach * i / half for i in range(-half, half + 1)]


def walk(
    material: Material,
    steps: Mapping[str, Tensor],
    offsets: Sequence[float],
    output: Path,
    task: str,
    space: str | None = None,
    notes: Sequence[str] = (),
) -> tuple[Path, Tensor]:
    """Draws a sheet with a row for each picture and direction and a column for each offset.

    Args:
        material: whose pictures are moved.
        steps: one standard deviation along each direction, of a code's shape, by name.
        offsets: multiples of a step; 0 shows the code itself.
        output: folder.
        task: name of the files ``<task>.png`` and ``<task>.html``.
        space: where they move; None: the codes' own space.
        notes: lines for the page.

    Returns:
        The picture's path and the codes (N, directions, offsets, *shape of a code).
    """
    space = space or material.space
    codes = material.codes_in(space)
    walks = torch.stack([traverse(codes, step.to(codes), offsets) for step in steps.values()], dim=1)
    originals = material.originals()
    cells = [
        [*original, *map(Cell, row)]
        for original, rows in zip(originals, material.decode(walks, space, task), strict=True)
        for row in rows
    ]
    aside, names = len(originals[0]), material.names
    prefixes = [""] if len(names) == 1 else [f"{name}, " for name in names]
    sheet = Sheet(
        cells,
        title=f"{names[0] if len(names) == 1 else 'pictures'} moved in {space}",
        columns=[*["picture"] * aside, *(f"{offset:+g} σ" if offset else material.decoded for offset in offsets)],
        rows=[f"{prefix}{direction}" for prefix in prefixes for direction in steps],
        row_groups=range(0, len(cells), len(steps)),
        column_groups=[aside],
    )
    return publish(sheet, output, task, notes), walks


def walk_directions(
    material: Material,
    found: Directions,
    offsets: Sequence[float],
    output: Path,
    notes: Sequence[str] = (),
) -> list[str]:
    """Draws strips of new directions and writes them, as ``<method>.png``, ``.html`` and ``.safetensors``."""
    space = found.place(material.model, material.space)
    steps = dict(zip(found.names, found.steps(material.model.spaces[space]), strict=True))
    picture, _ = walk(material, steps, offsets, output, found.method, space, notes)
    saved = found.save(output / f"{found.method}.safetensors")
    return [*notes, f"walks along {len(steps)} directions are in {picture}, the directions in {saved}"]


def in_layers(
    model: LatentModel, directions: Tensor, mean: Tensor, layers: Layers | None
) -> tuple[Tensor, Tensor, str]:
    """Directions of single styles that move some layers only.

    Args:
        model: a trained model.
        directions: (K, style_dim), or (K, rows, style_dim).
        mean: of the shape of one direction.
        layers: those that move; None: all, and nothing changes.

    Returns:
        The directions, with a dimension of layers if need be, their mean, and the name of their space.

    Raises:
        UserError: the model's codes have no layers, or not these.
    """
    styles = list(model.spaces)[:2][-1]  # what F makes of z, or z where there is no F
    if layers is None:
        return directions, mean, styles
    space = model.spaces[layered_space(model, styles)]
    between = [1] * (len(space.shape) - directions.ndim)
    count = space.shape[0]
    kept = [
        only_layers(d.view(1, *between, *d.shape).expand(count, *between, *d.shape), space, layers) for d in directions
    ]
    return torch.stack(kept), mean.view(1, *between, *mean.shape).expand_as(kept[0]), space.name
