"""Features of real pictures, kept between evaluations."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

if TYPE_CHECKING:
    from aestyle.data.pictures import ImageSet
    from aestyle.metrics.recipe import Extractor

_FORMAT = 1


@dataclass(frozen=True)
class FeatureCache:
    """A folder of files, one for each set of pictures and extractor.

    A file says what it holds, and is used only where that is word for word what is asked for: the very pictures (names,
    sizes and times, or hashes), their preparation, and the network with its weights and resize filter.

    Args:
        folder: Made when it is first written to.
    """

    folder: Path

    def read(self, extractor: Extractor, images: ImageSet, indices: Sequence[int]) -> Tensor | None:
        """The features (N, D) of these pictures of a set, or None if they are not here."""
        key = _key(extractor, images, indices)
        try:
            with safe_open(self._path(extractor, key), framework="pt") as file:
                return file.get_tensor("features") if file.metadata() == {"key": key} else None
        except (OSError, SafetensorError):  # absent, or cut off by a crash
            return None

    def write(self, extractor: Extractor, images: ImageSet, indices: Sequence[int], features: Tensor) -> None:
        """Keeps the features; a folder that cannot be written to costs time only."""
        key = _key(extractor, images, indices)
        path = self._path(extractor, key)
        unfinished = path.with_suffix(f".{os.getpid()}.tmp")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            save_file({"features": features.contiguous()}, unfinished, metadata={"key": key})
            unfinished.replace(path)
        except (OSError, SafetensorError):
            with suppress(OSError):
                unfinished.unlink()

    def _path(self, extractor: Extractor, key: str) -> Path:
        name = re.sub(r"[^\w.-]+", "-", extractor.name)
        return self.folder / f"{name}-{hashlib.sha256(key.encode()).hexdigest()[:16]}.safetensors"


def _key(extractor: Extractor, images: ImageSet, indices: Sequence[int]) -> str:
    facts = {
        "format": _FORMAT,
        "source": images.pictures.source.fingerprint(),
        "pictures": hashlib.sha256(repr([images.indices[index] for index in indices]).encode()).hexdigest(),
        "preparation": asdict(images.pictures.preparation),
        "extractor": extractor.name,
        "resize": extractor.resize,
    }
    return json.dumps(facts, sort_keys=True)
