"""Pictures in and out: folders of them, samples, reconstructions, grids as PNG files."""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import torch
from PIL import Image
from rich.progress import track
from torch import Tensor

from aestyle.data.pictures import Pictures
from aestyle.data.sources import ImageFolder
from aestyle.data.transforms import Preparation, to_float, to_uint8
from aestyle.engine.callbacks.grids import beside, save_grid
from aestyle.engine.module import PhasedModule
from aestyle.errors import UserError
from aestyle.studies.options import require_whole

GRID = "grid.png"
GRID_IMAGES = 64
"""A grid shows at most this many pictures."""


def read_usable(
    path: Path, preparation: Preparation, limit: int | None = None
) -> tuple[list[str], Tensor, dict[str, str]]:
    """Reads the pictures of a folder, without those that cannot be used.

    Args:
        path: the folder.
        preparation: how pictures become tensors.
        limit: stop after this many usable ones; None reads all.

    Returns:
        Names relative to the folder; the pictures, uint8 (N, C, R, R); what is wrong with those left out, by name.

    Raises:
        UserError: the folder is missing or empty, or holds no picture that can be used.
    """
    source = ImageFolder(path)
    pictures = Pictures(source, preparation)
    usable: dict[str, Tensor] = {}
    broken: dict[str, str] = {}
    for index in range(len(source)):
        if len(usable) == limit:
            break
        try:
            usable[source.key(index)] = pictures[index]
        except UserError as error:
            broken[source.key(index)] = str(error)
    if not usable:
        raise UserError(f"none of the {len(broken)} pictures can be used; the first: {next(iter(broken.values()))}")
    return list(usable), torch.stack(list(usable.values())), broken


def skipped_line(broken: dict[str, str]) -> str:
    """One line about the pictures that :func:`read_usable` left out (at least one)."""
    names = ", ".join(list(broken)[:3]) + (f" and {len(broken) - 3} more" if len(broken) > 3 else "")
    return f"skipped {len(broken)} that cannot be used: {names}; the first: {next(iter(broken.values()))}"


def to_pil(image: Tensor, size: int = 1) -> Image.Image:
    """One image (C, H, W) in [-1, 1], C = 1 or 3, for Pillow; every pixel is repeated up to ``size`` pixels a side."""
    pixels = to_uint8(image).permute(1, 2, 0).cpu().numpy()
    picture = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    times = max(1, size // max(picture.size))
    return picture.resize((picture.width * times, picture.height * times), Image.Resampling.NEAREST)


def save_png(image: Tensor, path: Path) -> None:
    """Writes one image (C, H, W) in [-1, 1], C = 1 or 3, as an 8-bit PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    to_pil(image).save(path)


@torch.no_grad()
def write_samples(model: PhasedModule, n: int, seed: int, batch_size: int, output: Path) -> None:
    """Writes ``sample-00000.png`` and so on, and a grid of the first ones.

    Args:
        model: a trained model.
        n: number of samples.
        seed: keys them; the first samples do not depend on ``n``.
        batch_size: samples decoded at a time; changes no picture.
        output: folder for the files.

    Raises:
        UserError: ``n``, ``seed`` or ``batch_size`` is not a number that can be used.
    """
    for name, value, least in (("n", n, 1), ("seed", seed, 0), ("batch_size", batch_size, 1)):
        require_whole(name, value, least)
    codes = model.prior(n, seed)
    batches = codes.split(batch_size)
    images = torch.cat([model.decode(code, "z").cpu() for code in track(batches, "sampling", transient=True)])
    for i, image in enumerate(images):
        save_png(image, output / f"sample-{i:05d}.png")
    save_grid(images[:GRID_IMAGES], output / GRID)


@torch.no_grad()
def write_reconstructions(
    model: PhasedModule, keys: Sequence[str], images: Tensor, batch_size: int, output: Path
) -> None:
    """Writes each picture's reconstruction under the picture's own name, and a grid with the originals above.

    Args:
        model: a trained model.
        keys: the pictures' relative names.
        images: the pictures, uint8 (N, C, R, R).
        batch_size: pictures at a time; changes none of them.
        output: folder for the files.

    Raises:
        UserError: ``batch_size`` is not a positive whole number, or the model has no encoder.
    """
    require_whole("batch_size", batch_size, 1)
    originals, reconstructions = to_float(images), []
    for x in track(originals.split(batch_size), "reconstructing", transient=True):
        reconstructions.append(model.decode(model.encode(x.to(model.device))).cpu())
    rec = torch.cat(reconstructions)
    for key, image in zip(png_names(keys), rec, strict=True):
        save_png(image, output / key)
    half = GRID_IMAGES // 2
    save_grid(beside(originals[:half], rec[:half]), output / GRID)


def png_names(keys: Sequence[str]) -> list[str]:
    """``a/b.jpg`` becomes ``a/b.png``; where two pictures would share a name, both keep their own endings."""
    short = [str(PurePosixPath(key).with_suffix(".png")) for key in keys]
    taken = {name for name in short if short.count(name) > 1} | {GRID}
    return [f"{key}.png" if name in taken else name for key, name in zip(keys, short, strict=True)]
