"""Fréchet distances between sets of pictures."""

from __future__ import annotations

from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance

from aestyle.metrics.distance import FeatureDistance, OfOriginals, OfReconstructions, OfSampleReconstructions, OfSamples


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
    # Both sets are whole already: torchmetrics must not add up those of several processes.
    distance = FrechetInceptionDistance(feature=_Given(features.shape[1]), sync_on_compute=False)
    distance.update(reference.double().cpu(), real=True)
    distance.update(features.double().cpu(), real=False)
    return float(distance.compute())


class _Given(nn.Identity):
    """Stands where torchmetrics expects a feature network: the features are there already."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.num_features = num_features


class FrechetDistance(FeatureDistance):
    """Fréchet distance; it is "FID" only with the published Inception network."""

    def distance(self, features: Tensor, reference: Tensor) -> float:
        """The squared distance of the two Gaussians."""
        return frechet_distance(features, reference)


class RealFrechetDistance(OfOriginals, FrechetDistance):
    """The real pictures of ``split``: the floor for their reconstructions."""


class ReconstructionFrechetDistance(OfReconstructions, FrechetDistance):
    """The reconstructions G(E(x)) of ``split``."""


class SampleFrechetDistance(OfSamples, FrechetDistance):
    """Samples of the prior."""


class SampleReconstructionFrechetDistance(OfSampleReconstructions, FrechetDistance):
    """Reconstructions of samples of the prior."""
