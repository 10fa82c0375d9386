"""What a named metric is, and the pictures that it is measured on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from math import ceil
from typing import TYPE_CHECKING, Protocol, Self

import numpy as np
import torch
from torch import Tensor

from aestyle.data.transforms import to_float, to_uint8
from aestyle.errors import UserError
from aestyle.protocol import Autoencoder

if TYPE_CHECKING:
    from aestyle.data.datamodule import ImageDataModule

SAMPLES_PER_SEED = 16
"""Samples are drawn in groups of this size with one seed each, so that no batch size changes them."""


class Extractor(Protocol):
    """A feature network with its resize filter; hashable, so that features are computed once."""

    @property
    def name(self) -> str:
        """How result files call it; only a published network may use a published metric's name."""
        ...

    @property
    def resize(self) -> str:
        """How result files call the resize filter."""
        ...

    num_features: int
    """Length of a feature vector."""

    def __call__(self, x: Tensor) -> Tensor:
        """Images (N, C, H, W) in [-1, 1] to features (N, num_features)."""
        ...


Track = Callable[[Iterable[Tensor], int, str], Iterable[Tensor]]
"""(batches, how many, what they are) -> the same batches, perhaps with a progress bar."""


def _untracked(batches: Iterable[Tensor], total: int, what: str) -> Iterable[Tensor]:
    return batches


@dataclass
class Subject:
    """A model and a data set under measurement: the pictures that recipes ask for, batch by batch.

    Args:
        model: The trained model; None is enough for recipes that look at the data alone.
        data: Where the real pictures come from.
        device: Where the model and the feature networks compute.
        batch_size: Pictures per forward pass; results do not depend on it.
        track: Wraps each pass over pictures, to show its progress.
    """

    model: Autoencoder | None
    data: ImageDataModule
    device: torch.device | str = "cpu"
    batch_size: int = 16
    track: Track = _untracked
    _features: dict[tuple[Extractor, str], Tensor] = field(default_factory=dict, repr=False)

    def originals(self, split: str) -> Iterator[Tensor]:
        """The pictures of ``split`` in their fixed order, as batches (n, C, H, W) in [-1, 1]."""
        images = self.data.images(split)
        total = ceil(len(images) / self.batch_size)
        for batch in self.track(images.batches(self.batch_size), total, f"{split} pictures"):
            yield to_float(batch.to(self.device))

    def reconstructions(self, split: str) -> Iterator[tuple[Tensor, Tensor]]:
        """Batches of ``split`` beside their reconstructions G(E(x)), not clamped."""
        model = self.autoencoder
        for x in self.originals(split):
            yield x, model.decode(model.encode(x))

    def samples(self, n: int, seed: int) -> Iterator[Tensor]:
        """``n`` samples of the prior, as batches (at most 16, C, H, W), not clamped."""
        model = self.autoencoder
        starts = range(0, n, SAMPLES_PER_SEED)
        drawn = (model.sample(min(SAMPLES_PER_SEED, n - start), seed=_subseed(seed, start)) for start in starts)
        for x in self.track(drawn, len(starts), "samples"):
            yield x.to(self.device)

    def features(self, extractor: Extractor, split: str) -> Tensor:
        """Features (len(split), num_features) of the real pictures of ``split``, computed once."""
        if (extractor, split) not in self._features:
            self._features[extractor, split] = extract(extractor, self.originals(split))
        return self._features[extractor, split]

    @property
    def autoencoder(self) -> Autoencoder:
        """The model.

        Raises:
            UserError: there is none.
        """
        if self.model is None:
            raise UserError("this metric measures a model: give one with ckpt=<run folder or checkpoint>")
        return self.model


def _subseed(seed: int, group: int) -> int:
    return int(np.random.SeedSequence((seed, group)).generate_state(1)[0])


def extract(extractor: Extractor, batches: Iterable[Tensor]) -> Tensor:
    """Features (N, num_features) of pictures that pass through 8 bits first, as saved files would.

    A picture that is not finite has NaN features: 8 bits would hide it.
    """
    return torch.cat([_features_of(extractor, x) for x in batches])


def _features_of(extractor: Extractor, x: Tensor) -> Tensor:
    finite = x.flatten(1).isfinite().all(dim=1, keepdim=True)
    return extractor(to_float(to_uint8(x))).where(finite, torch.nan)


@dataclass(frozen=True)
class Measurement:
    """A value with the facts that give it its meaning.

    Args:
        metric: The recipe's name.
        value: The result.
        split: The pictures measured; for samples of the prior: those they are compared with.
        num_images: How many pictures were measured.
        seed: Of the samples; None where nothing is drawn.
        extractor: Name of the feature network; None if none is used.
        resize: Its resize filter.
        reference: The split whose pictures are the yardstick; None where there is none.
    """

    metric: str
    value: float
    split: str
    num_images: int
    seed: int | None = None
    extractor: str | None = None
    resize: str | None = None
    reference: str | None = None


@dataclass(frozen=True, kw_only=True)
class Recipe(ABC):
    """One named metric: everything that defines its value lives in its file in ``conf/metrics``.

    Args:
        name: What result files and tables call it.
        split: The pictures to measure.
    """

    name: str
    split: str = "test"

    @abstractmethod
    def __call__(self, subject: Subject) -> Measurement:
        """Measures ``subject``. Draws nothing from global generators."""

    def check(self, data: ImageDataModule) -> None:
        """Refuses data that the metric has no meaning for, before any work is done.

        Raises:
            UserError: a split is empty, or labels are missing.
        """
        data.images(self.split)

    def on(self, split: str) -> Self:
        """The same metric on other pictures."""
        return replace(self, split=split)
