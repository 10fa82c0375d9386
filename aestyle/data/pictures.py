"""The pictures of a source, ready for a network, from memory where they fit."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from aestyle.data.archive import Archive
from aestyle.data.parallel import in_order, with_bar
from aestyle.data.sources import ImageSource
from aestyle.data.transforms import Preparation
from aestyle.errors import UserError


class Pictures:
    """Prepared pictures by number: uint8 (channels, resolution, resolution), decoded at each use or once.

    Args:
        source: Where the pictures come from.
        preparation: How they become tensors.

    Raises:
        UserError: If the source is an archive that was prepared with other options.
    """

    def __init__(self, source: ImageSource, preparation: Preparation) -> None:
        if isinstance(source, Archive):
            source.refuse_other(preparation)
        self.source = source
        self.preparation = preparation
        self._cached: Tensor | None = None

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int) -> Tensor:
        return self._decode(index) if self._cached is None else self._cached[index]

    def batch(self, indices: Sequence[int]) -> Tensor:
        """The pictures with these numbers: uint8 (n, channels, resolution, resolution)."""
        if self._cached is not None:
            return self._cached[list(indices)]
        if isinstance(self.source, Archive):
            return self.source.batch(indices)
        return torch.stack([self[index] for index in indices]) if indices else self._new(0)

    @property
    def num_bytes(self) -> int:
        """Memory that all pictures take when they are cached."""
        return len(self) * self.preparation.channels * self.preparation.resolution**2

    def cache(self, progress: bool = True) -> Tensor:
        """Decode all pictures once and keep them.

        Args:
            progress: Whether a long decoding may show a progress bar.

        Returns:
            All pictures: uint8 (n, channels, resolution, resolution).

        Raises:
            UserError: If some cannot be used; one line that names up to three of them and says how many there are.
        """
        images = self.source.batch(range(len(self))) if isinstance(self.source, Archive) else self._decode_all(progress)
        self._cached = images
        return images

    def _decode_all(self, progress: bool) -> Tensor:
        images = self._new(len(self))

        def fill(index: int) -> UserError | None:
            try:
                images[index] = self._decode(index)
            except UserError as error:
                return error
            return None

        results = with_bar(in_order(fill, range(len(self))), "decoding pictures", len(self), shown=progress)
        errors = {index: error for index, error in enumerate(results) if error}
        if errors:
            raise _summary(self.source, errors)
        return images

    def _decode(self, index: int) -> Tensor:
        return self.preparation(self.source.load(index), f"{self.source.name}/{self.source.key(index)}")

    def _new(self, n: int) -> Tensor:
        side = self.preparation.resolution
        return torch.empty((n, self.preparation.channels, side, side), dtype=torch.uint8)


@dataclass(frozen=True)
class ImageSet:
    """Some of the pictures in a fixed order, without flips: what an evaluation looks at.

    Args:
        pictures: All pictures of the source.
        indices: The numbers of those in this set.
    """

    pictures: Pictures
    indices: Sequence[int]

    def __len__(self) -> int:
        return len(self.indices)

    @property
    def name(self) -> str:
        """What the source is called."""
        return self.pictures.source.name

    @property
    def labels(self) -> list[int] | None:
        """One class number a picture, or None where the source has no classes."""
        labels = self.pictures.source.labels
        return labels and [labels[index] for index in self.indices]

    @property
    def keys(self) -> list[str]:
        """The names of the pictures."""
        return [self.pictures.source.key(index) for index in self.indices]

    def batch(self, indices: Sequence[int]) -> Tensor:
        """The pictures with these numbers, counted within the set: uint8 (n, channels, resolution, resolution)."""
        return self.pictures.batch([self.indices[index] for index in indices])

    def batches(self, batch_size: int) -> Iterator[Tensor]:
        """All pictures in order: uint8 (up to batch_size, channels, resolution, resolution) each."""
        for start in range(0, len(self), batch_size):
            yield self.batch(range(start, min(start + batch_size, len(self))))


def _summary(source: ImageSource, errors: dict[int, UserError]) -> UserError:
    first = next(iter(errors.values()))
    if len(errors) == 1:
        return first
    names = ", ".join(source.key(index) for index in list(errors)[:3])
    more = f" and {len(errors) - 3} more" if len(errors) > 3 else ""
    return UserError(f"{source.name}: {len(errors)} unusable pictures: {names}{more}; the first: {first}")
