"""Distances between two sets of pictures, both seen through one feature network."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor

from aestyle.metrics.recipe import Extractor, Measurement, Recipe, Subject

if TYPE_CHECKING:
    from aestyle.data.datamodule import ImageDataModule


@dataclass(frozen=True, kw_only=True)
class FeatureDistance(Recipe):
    """Distance of some pictures from a reference split of the data. All pictures pass through 8 bits first.

    A kind of distance says how two sets of features compare, and one of the ``Of...`` classes which pictures.

    Args:
        extractor: The feature network with its resize filter.
        reference: The split they are compared with.
        reference_images: At most this many pictures of it, evenly spaced; None takes all.
    """

    extractor: Extractor
    reference: str = "train"
    reference_images: int | None = None

    def __call__(self, subject: Subject) -> Measurement:
        """Compares the two sets."""
        features = self.features(subject)
        reference = subject.features(self.extractor, self.reference, self.reference_images)
        return Measurement(
            metric=self.name,
            value=self.distance(features, reference) if _finite(features, reference) else float("nan"),
            split=self.measured_split,
            num_images=len(features),
            seed=self.sample_seed,
            extractor=self.extractor.name,
            resize=self.extractor.resize,
            reference=self.reference,
        )

    @abstractmethod
    def features(self, subject: Subject) -> Tensor:
        """Features (N, D) of the pictures to judge."""

    @abstractmethod
    def distance(self, features: Tensor, reference: Tensor) -> float:
        """Distance of two sets of finite features, (N, D) and (M, D)."""

    @property
    def measured_split(self) -> str:
        """The split that the pictures belong to."""
        return self.split

    @property
    def sample_seed(self) -> int | None:
        """The seed of samples; None where nothing is drawn."""
        return None

    def check(self, data: ImageDataModule) -> None:
        """Refuses an empty split or reference, and an extractor without its weights (UserError)."""
        data.images(self.measured_split)
        data.images(self.reference)
        _ = self.extractor.name


@dataclass(frozen=True, kw_only=True)
class OfOriginals(FeatureDistance):
    """The real pictures of ``split``: the floor for their reconstructions."""

    def features(self, subject: Subject) -> Tensor:
        """Features of the real pictures."""
        return subject.features(self.extractor, self.split)


@dataclass(frozen=True, kw_only=True)
class OfReconstructions(FeatureDistance):
    """The reconstructions G(E(x)) of ``split``."""

    def features(self, subject: Subject) -> Tensor:
        """Features of the reconstructions."""
        return subject.reconstruction_features(self.extractor, self.split)


@dataclass(frozen=True, kw_only=True)
class OfSamples(FeatureDistance):
    """Samples of the prior; they belong to no split, so ``split`` repeats the reference.

    Args:
        num_images: How many samples to draw (distances of different numbers do not compare); None draws as many as the
            reference holds.
        seed: Of the samples.
        norm_batch: Batch normalisation takes the statistics of so many samples at a time, as IAAE's authors generate;
            None: its running statistics.
    """

    num_images: int | None
    seed: int = 0
    norm_batch: int | None = None

    def features(self, subject: Subject) -> Tensor:
        """Features of the samples."""
        count = subject.count_samples(self.num_images, self.reference)
        return subject.sample_features(self.extractor, count, self.seed, self.norm_batch)

    @property
    def measured_split(self) -> str:
        """The reference."""
        return self.reference

    @property
    def sample_seed(self) -> int:
        """The seed."""
        return self.seed


@dataclass(frozen=True, kw_only=True)
class OfSampleReconstructions(OfSamples):
    """Reconstructions G(E(G(F(z)))) of samples of the prior."""

    def features(self, subject: Subject) -> Tensor:
        """Features of the reconstructed samples."""
        count = subject.count_samples(self.num_images, self.reference)
        return subject.extract(self.extractor, (rec for _, rec in subject.sample_reconstructions(count, self.seed)))


def _finite(*features: Tensor) -> bool:
    return all(bool(each.isfinite().all()) for each in features)
