"""What a named metric is, and the pictures that it is measured on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol, Self

import numpy as np
import torch
from torch import Tensor

from aestyle.data.transforms import to_float, to_uint8
from aestyle.errors import UserError
from aestyle.metrics.cache import FeatureCache
from aestyle.metrics.shares import Share
from aestyle.protocol import Autoencoder

if TYPE_CHECKING:
    from aestyle.data.datamodule import ImageDataModule
    from aestyle.data.pictures import ImageSet

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

    Where several processes share the work, each sees its own batches; ``gather`` and ``extract`` bring the results
    together, so that all of them arrive at the figure that one would.

    Args:
        model: The trained model; None is enough for recipes that look at the data alone.
        data: Where the real pictures come from.
        device: Where the model and the feature networks compute.
        batch_size: Pictures per forward pass; results do not depend on it.
        track: Wraps each pass over pictures, to show its progress.
        share: Which of several processes this is.
        cache: Where features of real pictures are kept; None keeps them as long as this object lives.
        fakes: Pictures that stand for samples where there is no model.
    """

    model: Autoencoder | None
    data: ImageDataModule
    device: torch.device | str = "cpu"
    batch_size: int = 16
    track: Track = _untracked
    share: Share = field(default_factory=Share)
    cache: FeatureCache | None = None
    fakes: ImageSet | None = None
    _features: dict[tuple[Extractor, str, int | None], Tensor] = field(default_factory=dict, repr=False)

    def originals(self, split: str, max_images: int | None = None) -> Iterator[Tensor]:
        """The pictures of ``split`` in their fixed order, as batches (n, C, H, W) in [-1, 1].

        Args:
            split: Which pictures.
            max_images: At most this many, evenly spaced; None takes all.
        """
        images = self.data.images(split)
        return self._batches(images, spaced(len(images), max_images), f"{split} pictures")

    def _batches(self, images: ImageSet, chosen: Sequence[int], what: str) -> Iterator[Tensor]:
        starts = self.share.of(range(0, len(chosen), self.batch_size))
        batches = (images.batch(chosen[start : start + self.batch_size]) for start in starts)
        for batch in self.track(batches, len(starts), what):
            yield to_float(batch.to(self.device))

    def reconstructions(self, split: str) -> Iterator[tuple[Tensor, Tensor]]:
        """Batches of ``split`` beside their reconstructions G(E(x)), not clamped."""
        model = self.autoencoder
        for x in self.originals(split):
            yield x, model.decode(model.encode(x))

    def samples(self, n: int, seed: int) -> Iterator[Tensor]:
        """``n`` samples of the prior, as batches (at most 16, C, H, W), not clamped."""
        if self.fakes is not None:
            yield from self._batches(self.fakes, range(n), "fake pictures")
            return
        model = self.autoencoder
        starts = self.share.of(range(0, n, SAMPLES_PER_SEED))
        drawn = (model.sample(min(SAMPLES_PER_SEED, n - start), seed=_subseed(seed, start)) for start in starts)
        for x in self.track(drawn, len(starts), "samples"):
            yield x.to(self.device)

    def count_samples(self, asked: int | None, reference: str) -> int:
        """How many samples a recipe gets that asks for this many; None means as many as ``reference`` holds.

        Raises:
            UserError: The pictures that stand for samples are fewer.
        """
        if self.fakes is None:
            return len(self.data.images(reference)) if asked is None else asked
        if asked is not None and asked > len(self.fakes):
            raise UserError(
                f"num_images={asked}: {self.fakes.pictures.source.name} holds {len(self.fakes)} pictures; "
                "choose a metric that takes all of them (fid, kid, fd_efflite0_all, kd_efflite0_all)"
            )
        return len(self.fakes) if asked is None else asked

    def features(self, extractor: Extractor, split: str, max_images: int | None = None) -> Tensor:
        """Features (n, num_features) of the real pictures of ``split``, on the CPU, computed once."""
        if (extractor, split, max_images) not in self._features:
            self._features[extractor, split, max_images] = self._find_features(extractor, split, max_images)
        return self._features[extractor, split, max_images]

    def _find_features(self, extractor: Extractor, split: str, max_images: int | None) -> Tensor:
        if self.cache is None:
            return self.extract(extractor, self.originals(split, max_images))
        images = self.data.images(split)
        chosen = spaced(len(images), max_images)
        found = self.cache.read(extractor, images, chosen)
        if all(self.share.exchange(found is not None)) and found is not None:
            return found
        features = self.extract(extractor, self.originals(split, max_images))
        if self.share.rank == 0:
            self.cache.write(extractor, images, chosen, features)
        return features

    def extract(self, extractor: Extractor, batches: Iterable[Tensor]) -> Tensor:
        """Features (N, num_features), on the CPU, of pictures that pass through 8 bits first, as saved files would.

        A picture that is not finite has NaN features: 8 bits would hide it.
        """
        return self.gather(_features_of(extractor, x) for x in batches)

    def gather(self, parts: Iterable[Tensor]) -> Tensor:
        """Results for batches, joined on the CPU in the order of the pictures, whoever computed them."""
        return self.share.gather(list(parts))

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


def spaced(total: int, max_images: int | None) -> Sequence[int]:
    """At most ``max_images`` numbers below ``total``, evenly spaced and ascending; None takes all."""
    count = total if max_images is None else min(total, max_images)
    return [i * total // count for i in range(count)]


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
