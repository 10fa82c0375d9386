"""Whether a model draws the pictures that it drew in another program."""

import hashlib
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from aestyle.errors import UserError
from aestyle.latents.batches import decode_all
from aestyle.latents.spaces import get_space
from aestyle.protocol import LatentModel
from aestyle.studies.options import is_number

IMAGES = "images"
PICTURES = "x"


@torch.no_grad()
def compare(model: LatentModel, path: Path, tolerance: float) -> str:
    """Compares a model's pictures with those of a file, both clamped to [-1, 1].

    Args:
        model: a model with averaged networks.
        path: an ``.npz`` or ``.safetensors`` file. ``images`` (N, C, R, R), floats in [-1, 1] or bytes, are what the
            other program drew, untruncated and with constant noise, of the codes ``z``, ``w`` or ``w_plus`` beside
            them; or reconstructions of the pictures ``x`` (N, C, R, R) beside them.
        tolerance: the largest difference of a pixel.

    Returns:
        One line with the largest and mean difference and the PSNR.

    Raises:
        UserError: the file cannot be read or does not belong to the model, or the pictures differ by more.
    """
    if not is_number(tolerance):
        raise UserError(f"tolerance={tolerance}: give a number")
    arrays = _read(path)
    given = [name for name in (PICTURES, *model.spaces) if name in arrays]
    if IMAGES not in arrays or len(given) != 1:
        names = ", ".join(model.spaces)
        raise UserError(f"{path}: give arrays `images` and one of {names}, {PICTURES}; it has {', '.join(arrays)}")
    drawn, expected = _draw(model, given[0], arrays[given[0]], path), arrays[IMAGES]
    if drawn.shape != expected.shape:
        raise UserError(f"{path}: images are {tuple(expected.shape)}, the model draws {tuple(drawn.shape)}")
    difference = (drawn.clamp(-1, 1) - expected.clamp(-1, 1)).abs()
    largest, mean, mse = difference.max().item(), difference.mean().item(), difference.square().mean().item()
    psnr = 10 * np.log10(4 / mse) if mse else float("inf")
    line = f"{len(drawn)} pictures beside {path}: largest difference {largest:.2g}, mean {mean:.2g}, PSNR {psnr:.1f} dB"
    if not largest <= tolerance:
        raise UserError(f"{line}: more than tolerance={tolerance:g}; were they drawn with constant noise, untruncated?")
    return line


def _draw(model: LatentModel, name: str, given: Tensor, path: Path) -> Tensor:
    """Images of codes of the space ``name``, or reconstructions of pictures."""
    if name != PICTURES:
        return decode_all(model, get_space(model.spaces, name).check(given), name)
    shape = (model.channels, model.resolution, model.resolution)
    if given.shape[1:] != shape:
        raise UserError(f"{path}: a picture of {PICTURES} is {tuple(given.shape[1:])}, the model takes {shape}")
    return decode_all(model, torch.cat([model.encode(batch) for batch in given.split(16)]))


def self_check(model: LatentModel) -> str:
    """One line on four samples of seed 0: shape, statistics, and a hash of them in 8 bits.

    Args:
        model: a model with averaged networks.

    Raises:
        UserError: they hold values that are no numbers.
    """
    images = model.sample(4, seed=0)
    if not images.isfinite().all():
        raise UserError("its samples hold values that are not finite: the checkpoint is broken")
    digest = hashlib.sha256(_bytes(images).numpy().tobytes()).hexdigest()[:16]
    return (
        f"4 samples {tuple(images.shape)}: mean {images.mean():.3f}, std {images.std():.3f}, "
        f"from {images.min():.2f} to {images.max():.2f}, hash {digest}; reference=<file> compares pictures"
    )


def _bytes(images: Tensor) -> Tensor:
    return ((images.clamp(-1, 1) + 1) * 127.5).round().byte()


def _read(path: Path) -> dict[str, Tensor]:
    try:
        if path.suffix == ".safetensors":
            arrays = load_file(path)
        else:
            with np.load(path, allow_pickle=False) as file:
                arrays = {name: torch.from_numpy(file[name]) for name in file.files}
    except FileNotFoundError as error:
        raise UserError(f"reference={path}: there is no such file") from error
    except Exception as error:  # a damaged file fails in as many ways as there are bytes
        raise UserError(f"reference={path}: cannot be read; give an .npz or .safetensors file of arrays") from error
    return {name: v.float() / 127.5 - 1 if v.dtype == torch.uint8 else v.float() for name, v in arrays.items()}
