"""Sheets of pictures with named rows and columns, and the grids of a run cut into pictures again."""

from collections.abc import Sequence
from pathlib import Path

import torch
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor
from torchvision.transforms.functional import pil_to_tensor

from aestyle.data.transforms import to_float, to_uint8
from aestyle.errors import UserError

COLUMNS, PADDING = 8, 2
"""How the ``Grids`` callback lays pictures out."""


def sheet(
    rows: Sequence[Tensor], row_names: Sequence[str] = (), column_names: Sequence[str] = (), gap: int = 2
) -> Figure:
    """Pictures in rows and columns, each pixel of them shown as it is.

    Args:
        rows: one tensor (columns, C, H, W) in [-1, 1] a row, C = 1 or 3, all of one H and W; shorter rows stay empty
            at their ends.
        row_names: written left of the rows.
        column_names: written above the columns.
        gap: white pixels between pictures.
    """
    height, width = rows[0].shape[-2] + gap, rows[0].shape[-1] + gap
    columns = max(len(row) for row in rows)
    page = torch.full((3, height * len(rows) + gap, width * columns + gap), 255, dtype=torch.uint8)
    for i, row in enumerate(rows):
        for j, image in enumerate(to_uint8(row).cpu()):
            page[:, gap + i * height : (i + 1) * height, gap + j * width : (j + 1) * width] = image
    figure = Figure(figsize=(0.72 * columns + 1.6, 0.72 * len(rows) + 0.5), dpi=120, layout="constrained")
    axes = figure.subplots()
    axes.imshow(page.permute(1, 2, 0).numpy(), interpolation="nearest")
    axes.set_yticks([(i + 0.5) * height for i in range(len(row_names))], row_names)
    axes.set_xticks([(j + 0.5) * width for j in range(len(column_names))], column_names)
    axes.xaxis.tick_top()
    axes.tick_params(length=0, labelsize=8)
    axes.spines[:].set_visible(False)
    return figure


def cut(path: Path) -> tuple[Tensor, Tensor]:
    """The real images and their reconstructions in a ``samples/reconstructions-<kimg>.png``.

    Args:
        path: a grid that the ``Grids`` callback wrote.

    Returns:
        Two tensors (N, 3, R, R) in [-1, 1].

    Raises:
        UserError: the file is not such a grid.
    """
    page = pil_to_tensor(Image.open(path).convert("RGB"))
    step = (page.shape[2] - PADDING) // COLUMNS
    if step <= PADDING or (page.shape[1] - PADDING) % step or (page.shape[2] - PADDING) % step:
        raise UserError(f"{path}: is not a grid of {COLUMNS} pictures a row; give one that aestyle.train wrote")
    lines = page[:, PADDING:, PADDING:].unfold(1, step - PADDING, step).unfold(2, step - PADDING, step)
    tiles = lines.permute(1, 2, 0, 3, 4).flatten(0, 1)
    blank = (tiles == 255).flatten(1).all(dim=1)  # the rest of the last row
    while blank[-1]:
        tiles, blank = tiles[:-1], blank[:-1]
    pairs = [_halves(part) for part in to_float(tiles).split(2 * COLUMNS)]
    real, rec = zip(*pairs, strict=True)
    return torch.cat(real), torch.cat(rec)


def _halves(tiles: Tensor) -> tuple[Tensor, Tensor]:
    """A row of images and, after it, as many reconstructions."""
    half = len(tiles) // 2
    return tiles[:half], tiles[half : 2 * half]


def grids_of(run_dir: Path) -> dict[float, Path]:
    """The reconstruction grids that a run stored, by thousand images seen."""
    found = {float(path.stem.rpartition("-")[2]): path for path in run_dir.glob("samples/reconstructions-*.png")}
    return dict(sorted(found.items()))
