"""What a latent tool works on: a model, pictures and their codes."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

import torch
from omegaconf import DictConfig
from rich.console import Console
from rich.progress import track
from torch import Tensor

from aestyle.data.transforms import Preparation, to_float
from aestyle.engine.checkpoint import identity
from aestyle.errors import UserError
from aestyle.latents.batches import decode_all, encode_all
from aestyle.latents.codes import Codes
from aestyle.latents.prior import prior_codes
from aestyle.protocol import LatentModel
from aestyle.studies.loading import RunInfo, load_data, load_run
from aestyle.studies.options import require_whole
from aestyle.studies.pictures import read_usable, skipped_line
from aestyle.studies.sheets import Cell

BARS = Console(stderr=True)
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
        checkpoint: for the files of codes: the identity of that file.
    """

    model: LatentModel
    names: Sequence[str]
    images: Tensor | None
    codes: Tensor
    batch_size: int = 16
    origin: str = ""
    checkpoint: str = ""

    def decode(self, codes: Tensor, space: str | None = None, what: str = "decoding") -> Tensor:
        """Images (..., C, R, R) of codes (..., *shape of a code), under a progress bar; on the CPU."""
        return decode_all(self.model, codes, space, self.batch_size, tracked(what)).cpu()

    def originals(self) -> list[list[Cell | None]]:
        """One a picture: the column of originals at the left of a sheet; empty for samples."""
        return [[]] * len(self.names) if self.images is None else [[Cell(image)] for image in self.images.cpu()]

    @property
    def decoded(self) -> str:
        """How labels call what a code of this material decodes to."""
        return "sample" if self.images is None else "G(E(x))"

    def save_codes(self, file: Path, space: str | None = None, *, codes: Tensor, **others: Tensor) -> Path:
        """Writes codes and what was made of them; gives back the file."""
        told: dict[str, Any] = {
            "method": getattr(self.model, "name", ""),
            "model": self.origin,
            "checkpoint": self.checkpoint,
        }
        return Codes(codes, space or self.model.code_space, self.names, **told, others=others).save(file)


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
    told: dict[str, Any] = {"origin": str(info.checkpoint), "checkpoint": identity(info.checkpoint)}
    if samples is not None:
        names = [f"sample {i}" for i in range(samples)]
        return Material(model, names, None, prior_codes(model, n=samples, seed=seed), batch_size, **told), []
    keys, images, notes = read_pictures(cfg, info, input, limit)
    names, images = [PurePosixPath(key).stem for key in keys], images.to(device)
    codes = encode_all(model, images, batch_size, tracked("encoding"))
    return Material(model, names, images, codes, batch_size, **told), notes


def read_pictures(
    cfg: DictConfig, info: RunInfo, input: str | None = None, limit: int | None = None
) -> tuple[list[str], Tensor, list[str]]:
    """Pictures for a model, prepared as those that it was trained on.

    Args:
        cfg: the run's configuration.
        info: where it comes from, for messages.
        input: folder of pictures; None: the test split of the run, evenly spread.
        limit: number of pictures at most; None: all.

    Returns:
        Their keys; pictures (N, C, R, R) in [-1, 1]; a line about pictures that were skipped, if there were any.

    Raises:
        UserError: there are no pictures.
    """
    keys, pixels, broken = _held_out(cfg, info, limit) if input is None else _folder(Path(input), cfg.data, limit)
    return keys, to_float(pixels), [f"{input}: {skipped_line(broken)}"] if broken else []


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


def tracked(what: str) -> Callable[[Sequence[Tensor]], Iterable[Tensor]]:
    """Shows a progress bar of this name over batches, to a person."""
    return lambda batches: track(batches, what, transient=True, console=BARS, disable=not BARS.is_terminal)


def require_images(images: int | None, least: int) -> None:
    """Refuses a number of pictures below ``least``; None means all (UserError)."""
    if images is not None:
        require_whole("task.images", images, least)
