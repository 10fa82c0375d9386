"""What a named metric is, and the pictures that it is measured on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self, TypeVar

import numpy as np
import torch
from torch import Tensor

from aestyle.data.transforms import to_float, to_uint8
from aestyle.engine.batchnorm import batch_statistics
from aestyle.errors import UserError
from aestyle.metrics.cache import FeatureCache
from aestyle.metrics.shares import Share
from aestyle.protocol import Autoencoder

if TYPE_CHECKING:
    from aestyle.data.datamodule import ImageDataModule

T = TypeVar("T")

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


class PictureSet(Protocol):
    """Pictures by number."""

    @property
    def name(self) -> str:
        """What messages call them."""
        ...

    def __len__(self) -> int: ...

    def batch(self, indices: Sequence[int]) -> Tensor:
        """Those with these numbers: uint8 (n, C, H, W)."""
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
        fakes: Pictures that stand for samples, as where there is no model.
    """

    model: Autoencoder | None
    data: ImageDataModule
    device: torch.device | str = "cpu"
    batch_size: int = 16
    track: Track = _untracked
    share: Share = field(default_factory=Share)
    cache: FeatureCache | None = None
    fakes: PictureSet | None = None
    _kept: dict[Hashable, Any] = field(default_factory=dict, repr=False)

    def originals(self, split: str, max_images: int | None = None) -> Iterator[Tensor]:
        """The pictures of ``split`` in their fixed order, as batches (n, C, H, W) in [-1, 1].

        Args:
            split: Which pictures.
            max_images: At most this many, evenly spaced; None takes all.
        """
        images = self.data.images(split)
        return self._batches(images, spaced(len(images), max_images), f"{split} pictures")

    def _batches(self, images: PictureSet, chosen: Sequence[int], what: str) -> Iterator[Tensor]:
        starts = self.share.of(range(0, len(chosen), self.batch_size))
        batches = (images.batch(chosen[start : start + self.batch_size]) for start in starts)
        for batch in self.track(batches, len(starts), what):
            yield to_float(batch.to(self.device))

    def reconstructions(self, split: str, max_images: int | None = None) -> Iterator[tuple[Tensor, Tensor]]:
        """Batches of :meth:`originals` beside their reconstructions G(E(x)), not clamped."""
        model = self.autoencoder
        for x in self.originals(split, max_images):
            yield x, model.decode(model.encode(x))

    def samples(self, n: int, seed: int, norm_batch: int | None = None) -> Iterator[Tensor]:
        """``n`` samples of the prior, as batches (at most 16 or ``norm_batch``, C, H, W), not clamped.

        Args:
            n: How many.
            seed: The groups' seeds come from it.
            norm_batch: Batch normalisation takes the statistics of so many samples at a time, as where a model is
                never put into eval mode; None: running statistics.
        """
        if self.fakes is not None:
            yield from self._batches(self.fakes, range(n), "fake pictures")
        elif norm_batch is None:
            yield from self.drawn(self.autoencoder.sample, n, seed, "samples")
        else:
            with batch_statistics(self.autoencoder):
                yield from self.drawn(self.autoencoder.sample, n, seed, "samples", norm_batch)

    def sample_reconstructions(self, n: int, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Batches of ``n`` samples of the prior beside their reconstructions G(E(x)), neither clamped."""
        model = self.autoencoder
        for x in self.samples(n, seed):
            yield x, model.decode(model.encode(x))

    def pairs(self, n: int, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
        """``n`` pairs of independent samples, no sample in two of them: batches (at most 8, C, H, W), not clamped."""
        if self.fakes is not None:
            chosen = np.random.default_rng(seed).permutation(len(self.fakes))[: 2 * n].tolist()
            sides = (self._batches(self.fakes, chosen[side::2], "fake pictures") for side in (0, 1))
            yield from zip(*sides, strict=True)
            return
        for x in self.samples(2 * n, seed):
            yield x[0::2], x[1::2]

    def drawn(
        self, draw: Callable[[int, int], Tensor], n: int, seed: int, what: str, group: int = SAMPLES_PER_SEED
    ) -> Iterator[Tensor]:
        """``n`` draws, in groups with one seed each, so that no batch size changes them.

        Args:
            draw: (how many, seed) to that many draws along the first dimension.
            n: How many in all.
            seed: The groups' seeds come from it.
            what: What they are, for the progress bar.
            group: Size of a group.
        """
        starts = self.share.of(range(0, n, group))
        groups = (draw(min(group, n - start), _subseed(seed, start)) for start in starts)
        for x in self.track(groups, len(starts), what):
            yield x.to(self.device)

    def count_samples(self, asked: int | None, reference: str) -> int:
        """How many samples a recipe gets that asks for this many; None: as many as ``reference`` (or the fakes) holds.

        Raises:
            UserError: The pictures that stand for samples are fewer.
        """
        if self.fakes is None:
            return len(self.data.images(reference)) if asked is None else asked
        if asked is not None and asked > len(self.fakes):
            raise UserError(
                f"num_images={asked}: {self.fakes.name} holds {len(self.fakes)} pictures; "
                "choose a metric that takes all of them (fid, kid, fd_efflite0_all, kd_efflite0_all)"
            )
        return len(self.fakes) if asked is None else asked

    def features(self, extractor: Extractor, split: str, max_images: int | None = None) -> Tensor:
        """Features (n, num_features) of the real pictures of ``split``, on the CPU, computed once."""
        return self.once(("real", extractor, split, max_images), lambda: self._find(extractor, split, max_images))

    def reconstruction_features(self, extractor: Extractor, split: str, max_images: int | None = None) -> Tensor:
        """Features (n, num_features) of the reconstructions of ``split``, on the CPU, computed once."""
        rec = (rec for _, rec in self.reconstructions(split, max_images))
        return self.once(("rec", extractor, split, max_images), lambda: self.extract(extractor, rec))

    def sample_features(self, extractor: Extractor, n: int, seed: int, norm_batch: int | None = None) -> Tensor:
        """Features (n, num_features) of samples of the prior, see :meth:`samples`, on the CPU, computed once."""
        key = ("samples", extractor, n, seed, norm_batch)
        return self.once(key, lambda: self.extract(extractor, self.samples(n, seed, norm_batch)))

    def once(self, key: Hashable, make: Callable[[], T]) -> T:
        """What ``make`` gives, made once for all recipes that ask for it under this key."""
        if key not in self._kept:
            self._kept[key] = make()
        found: T = self._kept[key]
        return found

    def _find(self, extractor: Extractor, split: str, max_images: int | None) -> Tensor:
        if self.cache is None or not getattr(extractor, "keep", True):
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
        parts = (x.split(self.batch_size) for x in batches)
        return self.gather(torch.cat([_features_of(extractor, part) for part in batch]) for batch in parts)

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
    return extractor(as_saved(x)).where(finite, torch.nan)


def as_saved(x: Tensor) -> Tensor:
    """Images (N, C, H, W) as a file of 8 bits would give them back; an element that is not finite becomes black."""
    return to_float(to_uint8(x))


@dataclass(frozen=True)
class Histogram:
    """How values are distributed, so that it can be drawn later.

    Args:
        low: Where the first bin begins.
        high: Where the last one ends.
        counts: Values in each bin, which are of one width; the outer bins hold what lies beyond as well.
    """

    low: float
    high: float
    counts: tuple[int, ...]

    @classmethod
    def of(cls, values: Tensor, reach: float, bins: int = 81) -> Self:
        """Of all elements, from ``-reach`` to ``reach``; with an odd number of bins, 0 is the middle of one."""
        counts = values.double().cpu().clamp(-reach, reach).histc(bins, -reach, reach)
        return cls(-reach, reach, tuple(map(int, counts.tolist())))


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
        histogram: The values behind the result; only where a figure needs them.
    """

    metric: str
    value: float
    split: str
    num_images: int
    seed: int | None = None
    extractor: str | None = None
    resize: str | None = None
    reference: str | None = None
    histogram: Histogram | None = None

    def facts(self) -> dict[str, Any]:
        """All of it in plain values, for files; without a histogram where there is none."""
        facts = asdict(self)
        if self.histogram is None:
            del facts["histogram"]
        return facts


@dataclass(frozen=True, kw_only=True)
class Recipe(ABC):
    """One named metric: everything that defines its value lives in its file in ``conf/metrics``.

    Args:
        name: What result files and tables call it.
        split: The pictures to measure.
    """

    higher_is_better: ClassVar[bool] = False
    """Whether a better model has a higher value."""

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
