"""What a latent tool works on: a model, pictures and their codes."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import ClassVar

import torch
from omegaconf import DictConfig
from rich.console import Console
from rich.progress import track
from torch import Tensor

from aestyle.data.transforms import Preparation, to_float
from aestyle.engine.checkpoint import identity
from aestyle.errors import UserError
from aestyle.latents.batches import decode_all, encode_all
from aestyle.latents.codes import Codes, read_codes
from aestyle.latents.prior import prior_codes
from aestyle.protocol import LatentModel
from aestyle.studies.editing.labels import Labels, folder_labels, short_name, source_labels
from aestyle.studies.loading import RunInfo, load_data, load_run
from aestyle.studies.options import require_whole
from aestyle.studies.pictures import read_usable, skipped_line
from aestyle.studies.sheets import Cell, Sheet

BARS = Console(stderr=True)
"""Where progress bars go: to a person, not into a file."""


def _unlabelled() -> Labels:
    raise UserError("samples of the prior have no labels; give pictures that have")


@dataclass(frozen=True)
class Material:
    """A model and the pictures that a task works on.

    Args:
        model: a trained model.
        names: one a picture, its key without the ending.
        images: the pictures (N, C, R, R) in [-1, 1]; None where only codes are known.
        given: codes (N, *shape of a code) that are known already; None: the encoder's.
        given_space: their space; None: the model's own.
        decoded: how labels call what a code of this material decodes to.
        batch_size: pictures at a time; changes none of them.
        origin: for the files of codes: where the model came from.
        checkpoint: for the files of codes: the identity of that file.
        labels: the pictures' classes.
    """

    model: LatentModel
    names: Sequence[str]
    images: Tensor | None
    given: Tensor | None = None
    given_space: str | None = None
    decoded: str = "G(E(x))"
    batch_size: int = 16
    origin: str = ""
    checkpoint: str = ""
    labels: Callable[[], Labels] = _unlabelled

    @property
    def space(self) -> str:
        """The space of :attr:`codes`."""
        return self.given_space or self.model.code_space

    @cached_property
    def codes(self) -> Tensor:
        """Codes (N, *shape of a code) of the pictures, encoded when they are first asked for.

        Raises:
            UserError: the model has no encoder.
        """
        if self.given is not None:
            return self.given
        assert self.images is not None
        return encode_all(self.model, self.images, self.batch_size, tracked("encoding"))

    def codes_in(self, space: str | None) -> Tensor:
        """The codes in another space, which is the same or a wider one; None: their own."""
        return self.model.convert_code(self.codes, self.space, space or self.space)

    @cached_property
    def targets(self) -> Tensor:
        """The pictures (N, C, R, R) or, where there are none, what the codes decode to."""
        return self.images if self.images is not None else self.decode(self.codes, self.space).to(self.codes)

    def decode(self, codes: Tensor, space: str | None = None, what: str = "decoding") -> Tensor:
        """Images (..., C, R, R) of codes (..., *shape of a code), under a progress bar; on the CPU."""
        return decode_all(self.model, codes, space, self.batch_size, tracked(what)).cpu()

    def originals(self) -> list[list[Cell | None]]:
        """One a picture: the column of originals at the left of a sheet; empty for samples."""
        return [[]] * len(self.names) if self.images is None else [[Cell(image)] for image in self.images.cpu()]

    def pick(self, chosen: Sequence[int]) -> "Material":
        """Some of the pictures, by their numbers, with their codes but without labels."""
        images = None if self.images is None else self.images[list(chosen)]
        names, codes = [self.names[i] for i in chosen], self.codes[list(chosen)]
        return replace(self, names=names, images=images, given=codes, given_space=self.space, labels=_unlabelled)

    def save_codes(self, file: Path, space: str | None = None, *, codes: Tensor, **others: Tensor) -> Path:
        """Writes codes and what was made of them; gives back the file."""
        told = (str(getattr(self.model, "name", "")), self.origin, self.checkpoint)
        return Codes(codes, space or self.space, self.names, *told, others=others).save(file)


class Task(ABC):
    """One latent tool with its options."""

    shows_samples: ClassVar[bool] = False
    """Where no pictures are asked for: samples of the prior in place of the test split."""

    @property
    @abstractmethod
    def images(self) -> int | None:
        """How many pictures it takes at most; None: all."""

    @abstractmethod
    def __call__(self, material: Material, output: Path) -> list[str]:
        """Writes its files into a folder and says in a few lines what they are."""


def gather(
    ckpt: str,
    limit: int | None = None,
    input: str | None = None,
    samples: int | None = None,
    seed: int = 0,
    batch_size: int = 16,
    device: torch.device | str = "cpu",
    codes: str | None = None,
    split: str = "test",
) -> tuple[Material, list[str]]:
    """Loads a model and pictures, codes of pictures, or draws samples.

    Args:
        ckpt: run folder, checkpoint or name of a shipped model.
        limit: number of pictures at most; None: all.
        input: folder of pictures; None: a split of the run's data set, evenly spread.
        samples: in place of pictures, this many samples of the prior.
        seed: keys the samples.
        batch_size: pictures at a time.
        device: where to compute.
        codes: file of codes, as :meth:`~aestyle.latents.codes.Codes.save` writes; with ``input``, the pictures of
            their names are shown beside them.
        split: which split of the run's data set.

    Returns:
        What a task works on, and a line about pictures that were skipped or codes of another model, if need be.

    Raises:
        UserError: an option has a value that cannot be used, or there are no pictures.
    """
    for option, value, least in (("batch_size", batch_size, 1), ("seed", seed, 0), ("samples", samples, 1)):
        if value is not None:
            require_whole(option, value, least)
    if samples is not None and (input is not None or codes is not None):
        raise UserError("give either pictures (input=<folder>, codes=<file>) or samples=<number>, not both")
    model, cfg, info = load_run(ckpt)
    if not isinstance(model, LatentModel):
        raise UserError(f"{ckpt}: {type(model).__name__} has no latent spaces that can be worked in")
    model.to(device)
    make = partial(
        Material, model, batch_size=batch_size, origin=str(info.checkpoint), checkpoint=identity(info.checkpoint)
    )
    if samples is not None:
        drawn = prior_codes(model, n=samples, seed=seed)
        return make([f"sample {i}" for i in range(samples)], None, drawn, decoded="sample"), []
    if codes is not None:
        found = read_codes(Path(codes), model)
        known, names = found.codes[:limit].to(device), list(found.names)[:limit]
        other = found.checkpoint not in ("", identity(info.checkpoint))
        notes = [f"{codes}: made with another checkpoint ({found.model})"] if other else []
        images = None if input is None else _named(Path(input), cfg.data, names).to(device)
        labels = partial(_labels, cfg, info, names)
        return make(names, images, known, found.space, "inverted", labels=labels), notes
    keys, images, notes = read_pictures(cfg, info, input, limit, split)
    labels = partial(_labels, cfg, info, keys) if input is None else partial(folder_labels, keys)
    return make([short_name(key) for key in keys], images.to(device), labels=labels), notes


def read_pictures(
    cfg: DictConfig, info: RunInfo, input: str | None = None, limit: int | None = None, split: str = "test"
) -> tuple[list[str], Tensor, list[str]]:
    """Pictures for a model, prepared as those that it was trained on.

    Args:
        cfg: the run's configuration.
        info: where it comes from, for messages.
        input: folder of pictures; None: a split of the run's data set, evenly spread.
        limit: number of pictures at most; None: all.
        split: which split.

    Returns:
        Their keys; pictures (N, C, R, R) in [-1, 1]; a line about pictures that were skipped, if there were any.

    Raises:
        UserError: there are no pictures.
    """
    if input is None:
        keys, pixels = _held_out(cfg, info, limit, split)
        return keys, to_float(pixels), []
    keys, pixels, broken = read_usable(Path(input), _preparation(cfg.data), limit)
    return keys, to_float(pixels), [f"{input}: {skipped_line(broken)}"] if broken else []


def publish(sheet: Sheet, output: Path, name: str, notes: Sequence[str] = ()) -> Path:
    """Writes a sheet as ``<name>.png`` and as a page of its own, ``<name>.html``; gives back the PNG's path."""
    sheet.save_html(output / f"{name}.html", notes)
    return sheet.save(output / f"{name}.png")


def _preparation(data: DictConfig) -> Preparation:
    return Preparation(data.resolution, data.channels, data.crop, data.filter)


def _named(folder: Path, data: DictConfig, names: Sequence[str]) -> Tensor:
    """The pictures of a folder that codes were made of, by their names: (N, C, R, R) in [-1, 1]."""
    keys, pixels, _ = read_usable(folder, _preparation(data))
    at = {short_name(key): i for i, key in enumerate(keys)}
    for name in names:
        if name not in at:
            raise UserError(f"{folder}: has no picture {name}, which the codes belong to; leave input out")
    return to_float(pixels[[at[name] for name in names]])


def _labels(cfg: DictConfig, info: RunInfo, names: Sequence[str]) -> Labels:
    return source_labels(load_data(cfg, info).source, names)


def _held_out(cfg: DictConfig, info: RunInfo, limit: int | None, split: str) -> tuple[list[str], Tensor]:
    """Pictures spread over a split."""
    try:
        data = load_data(cfg, info)
        if split == "test" and not data.has(split):
            raise UserError(f"{data.name} has no test split")
        held = data.images(split)
    except UserError as error:
        raise UserError(f"{error}; or give input=<folder of pictures>, or samples=8") from error
    count = len(held) if limit is None else min(limit, len(held))
    chosen = [i * len(held) // count for i in range(count)]
    return [held.keys[i] for i in chosen], held.batch(chosen)


def tracked(what: str) -> Callable[[Sequence[Tensor]], Iterable[Tensor]]:
    """Shows a progress bar of this name over batches, to a person."""
    return lambda batches: track(batches, what, transient=True, console=BARS, disable=not BARS.is_terminal)


def require_images(images: int | None, least: int) -> None:
    """Refuses a number of pictures below ``least``; None means all (UserError)."""
    if images is not None:
        require_whole("task.images", images, least)
