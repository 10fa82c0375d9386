"""Fréchet distances between sets of pictures."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance

from aestyle.metrics.recipe import Extractor, Measurement, Recipe, Subject, extract

if TYPE_CHECKING:
    from aestyle.data.datamodule import ImageDataModule


def frechet_distance(features: Tensor, reference: Tensor) -> float:
    """Fréchet distance of the Gaussians fitted to two sets of features (Heusel et al., arXiv:1706.08500).

    Args:
        features: (N, D), N at least 2; fewer than D + 1 rows leave the covariance singular and bias the distance.
        reference: (M, D).

    Returns:
        The squared distance that the field reports; NaN if a feature is not finite.
    """
    if not (features.isfinite().all() and reference.isfinite().all()):
        return float("nan")
    distance = FrechetInceptionDistance(feature=_Given(features.shape[1]))
    distance.update(reference.double().cpu(), real=True)
    distance.update(features.double().cpu(), real=False)
    return float(distance.compute())


class _Given(nn.Identity):
    """Stands where torchmetrics expects a feature network: the features are there already."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.num_features = num_features


@dataclass(frozen=True, kw_only=True)
class FrechetDistance(Recipe):
    """Distance of some pictures from a reference split of the data, both seen through one feature network.

    All pictures pass through 8 bits first. It is "FID" only with the published Inception network.

    Args:
        extractor: The feature network with its resize filter.
        reference: The split they are compared with.
    """

    extractor: Extractor
    reference: str = "train"

    def __call__(self, subject: Subject) -> Measurement:
        """Compares the two sets."""
        features = self.features(subject)
        return Measurement(
            metric=self.name,
            value=frechet_distance(features, subject.features(self.extractor, self.reference)),
            split=self.split,
            num_images=len(features),
            extractor=self.extractor.name,
            resize=self.extractor.resize,
            reference=self.reference,
        )

    @abstractmethod
    def features(self, subject: Subject) -> Tensor:
        """Features (N, D) of the pictures to judge."""

    def check(self, data: ImageDataModule) -> None:
        """Refuses an empty split or reference (UserError)."""
        super().check(data)
        data.images(self.reference)


class RealFrechetDistance(FrechetDistance):
    """The real pictures of ``split``: the floor for their reconstructions."""

    def features(self, subject: Subject) -> Tensor:
        """Features of the real pictures."""
        return subject.features(self.extractor, self.split)


class ReconstructionFrechetDistance(FrechetDistance):
    """The reconstructions G(E(x)) of ``split``."""

    def features(self, subject: Subject) -> Tensor:
        """Features of the reconstructions."""
        return extract(self.extractor, (rec for _, rec in subject.reconstructions(self.split)))


@dataclass(frozen=True, kw_only=True)
class SampleFrechetDistance(FrechetDistance):
    """Samples of the prior; they belong to no split, so ``split`` repeats the reference.

    Args:
        num_images: How many samples to draw; distances of different numbers do not compare.
        seed: Of the samples.
    """

    num_images: int
    seed: int = 0

    def __call__(self, subject: Subject) -> Measurement:
        """Draws the samples and compares them with the reference."""
        return replace(super().__call__(subject), split=self.reference, seed=self.seed)

    def features(self, subject: Subject) -> Tensor:
        """Features of the samples."""
        return extract(self.extractor, subject.samples(self.num_images, self.seed))

    def check(self, data: ImageDataModule) -> None:
        """Refuses an empty reference (UserError)."""
        data.images(self.reference)
