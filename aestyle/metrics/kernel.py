"""Kernel distances between sets of pictures."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch_fidelity.metric_kid import KEY_METRIC_KID_MEAN, kid_features_to_metric

from aestyle.metrics.distance import FeatureDistance, OfReconstructions, OfSamples


def kernel_distance(features: Tensor, reference: Tensor, subsets: int = 100, subset_size: int = 1000) -> float:
    """Squared maximum mean discrepancy with the kernel (x.y / D + 1)^3 (Binkowski et al., arXiv:1801.01401).

    The unbiased estimate, averaged over random subsets that are drawn with a fixed seed; it can be negative.

    Args:
        features: (N, D), finite, N at least 2.
        reference: (M, D).
        subsets: How many.
        subset_size: Their size; smaller sets limit it.
    """
    size = min(subset_size, len(features), len(reference))
    given = (each.detach().double().cpu() for each in (features, reference))
    options = {"kid_subsets": subsets, "kid_subset_size": size, "rng_seed": 2020, "verbose": False}
    return float(kid_features_to_metric(*given, **options)[KEY_METRIC_KID_MEAN])


@dataclass(frozen=True, kw_only=True)
class KernelDistance(FeatureDistance):
    """Kernel distance; it is "KID" only with the published Inception network.

    Args:
        subsets: How many random subsets are averaged.
        subset_size: Their size; smaller sets limit it.
    """

    subsets: int = 100
    subset_size: int = 1000

    def distance(self, features: Tensor, reference: Tensor) -> float:
        """The squared discrepancy."""
        return kernel_distance(features, reference, self.subsets, self.subset_size)


@dataclass(frozen=True, kw_only=True)
class ReconstructionKernelDistance(OfReconstructions, KernelDistance):
    """The reconstructions G(E(x)) of ``split``."""


@dataclass(frozen=True, kw_only=True)
class SampleKernelDistance(OfSamples, KernelDistance):
    """Samples of the prior."""
