"""Several sources as one."""

import functools
from collections.abc import Mapping
from typing import Any

from aestyle.data.sources import ImageSource


class Joined(ImageSource):
    """Several sources as one; the part's name comes before the picture's, which ``FolderSplit`` splits by.

    Args:
        name: What messages call it.
        parts: The sources by name, such as ``train`` and ``test``.
    """

    def __init__(self, name: str, parts: Mapping[str, ImageSource]) -> None:
        self.name = name
        self._parts = dict(parts)
        self._places = [(part, index) for part, source in self._parts.items() for index in range(len(source))]

    def __len__(self) -> int:
        return len(self._places)

    def read(self, index: int) -> bytes:
        """The picture as its part stores it."""
        part, inner = self._places[index]
        return self._parts[part].read(inner)

    def load(self, index: int) -> Any:
        """The picture as its part decodes it."""
        part, inner = self._places[index]
        return self._parts[part].load(inner)

    def key(self, index: int) -> str:
        """``part/name``."""
        part, inner = self._places[index]
        return f"{part}/{self._parts[part].key(inner)}"

    def stamp(self, index: int) -> str:
        """The stamp of its part."""
        part, inner = self._places[index]
        return self._parts[part].stamp(inner)

    @functools.cached_property
    def _all_labels(self) -> list[int] | None:
        labels = [source.labels for source in self._parts.values()]
        return None if any(part is None for part in labels) else [label for part in labels for label in part or ()]

    @property
    def labels(self) -> list[int] | None:
        """The labels of the parts, if all of them have some."""
        return self._all_labels
