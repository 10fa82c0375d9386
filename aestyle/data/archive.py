"""Prepared pictures on disk: raw pixels that are mapped into memory, and a JSON file that says how they were made.

An archive is a folder with ``images.uint8``, the pictures one after the other as (channels, resolution, resolution),
and ``archive.json``. It comes into being under another name and gets its own when it is complete.
"""

import functools
import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from aestyle.data.handles import PerProcess
from aestyle.data.sources import ImageSource, NamedPictures
from aestyle.data.transforms import Preparation
from aestyle.errors import UserError

HEADER = "archive.json"
IMAGES = "images.uint8"
PARTIAL = ".partial"
"""Ending of the folder of an archive that is not complete."""


class Archive(NamedPictures):
    """Prepared pictures, read as they were written, with the names, labels and groups of their source.

    Args:
        path: The archive's folder.

    Raises:
        UserError: If it is not complete or damaged.
    """

    def __init__(self, path: Path) -> None:
        try:
            header = json.loads((path / HEADER).read_text(encoding="utf-8"))
            self.header: dict[str, Any] = header
            self.preparation = Preparation(**header["preparation"])
            super().__init__(str(path), header["keys"], header["labels"])
            self._groups: list[str] | None = header["groups"]
            size = (path / IMAGES).stat().st_size
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(f"{path}: is not a whole archive ({error}); delete it and prepare it again") from None
        side = self.preparation.resolution
        self._shape = (len(self._keys), self.preparation.channels, side, side)
        if size != np.prod(self._shape, dtype=np.int64):
            raise UserError(f"{path / IMAGES}: has {size} bytes, not those of {self._shape}; delete and prepare again")
        self._images = PerProcess(functools.partial(np.memmap, path / IMAGES, np.uint8, "r", 0, self._shape))

    def read(self, index: int) -> bytes:
        """The raw values of a picture."""
        return bytes(self._pixels([index]).tobytes())

    def load(self, index: int) -> Image.Image:
        """The picture, of mode L or RGB."""
        pixels = self._pixels([index])[0].transpose(1, 2, 0)
        return Image.fromarray(np.ascontiguousarray(pixels[..., 0] if len(pixels.T) == 1 else pixels))

    def batch(self, indices: Sequence[int]) -> Tensor:
        """The pictures with these numbers: uint8 (n, channels, resolution, resolution)."""
        return torch.from_numpy(self._pixels(indices))

    def group(self, index: int) -> str:
        """The group that the picture had in its source."""
        return self._groups[index] if self._groups else self._keys[index]

    def fingerprint(self) -> str:
        """Hex SHA-256 of the pixels."""
        return str(self.header["images_sha256"])

    def record(self) -> dict[str, Any]:
        """What a result should say of these pictures: crop, filter, hashes, how many were left out."""
        left_out = len(self.header["skipped"])
        hashes = {name: self.header[name] for name in ("source_sha256", "images_sha256")}
        return {**asdict(self.preparation), **hashes, "pictures": len(self), "left_out": left_out}

    def refuse_other(self, preparation: Preparation) -> None:
        """Makes sure that nothing would be resized twice.

        Raises:
            UserError: If the archive was made with other options; names the first of them and the fix.
        """
        for option, made in asdict(self.preparation).items():
            asked = getattr(preparation, option)
            if made != asked:
                prefix = "" if option == "resolution" else "dataset."
                raise UserError(
                    f"{self.name}: was prepared with {option}={made}, not {asked}; give {prefix}{option}={made}, or "
                    f"prepare the original pictures again with {prefix}{option}={asked}"
                )

    def _pixels(self, indices: Sequence[int]) -> NDArray[np.uint8]:
        # an index array copies, so that nobody holds on to the map
        return np.asarray(self._images()[np.asarray(indices, dtype=np.int64)])


def archive_name(name: str, source: ImageSource, preparation: Preparation) -> str:
    """Folder name of the archive of these very pictures: data set, resolution and a hash of pictures and options."""
    text = json.dumps([source.fingerprint(), asdict(preparation)], sort_keys=True)
    return f"{name}-{preparation.resolution}-{sha256(text.encode()).hexdigest()[:8]}"


def find_archive(folder: Path, name: str, source: ImageSource, preparation: Preparation) -> Archive | None:
    """The archive below ``folder`` that was made of these pictures in this way, if there is one."""
    if not any(folder.glob(f"{name}-{preparation.resolution}-*")):  # spares the look at every file
        return None
    path = folder / archive_name(name, source, preparation)
    return Archive(path) if path.is_dir() else None


def is_archive(path: Path) -> bool:
    """Whether a path is an archive, complete or not."""
    return path.name.endswith(PARTIAL) or (path / HEADER).exists()


def sync(path: Path) -> None:
    """Makes sure that a file is on the disk, not only on its way there."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
