"""Precision and recall, density and coverage: do samples look real, and do they show all that is real?"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from aestyle.errors import UserError
from aestyle.metrics.distance import OfSamples

CHUNK = 256
"""Rows of the distance matrix that are held at a time."""


def neighbour_radii(x: Tensor, k: int) -> Tensor:
    """Distance (N,) of each row of ``x`` (N, D) to its k-th nearest other row.

    Raises:
        UserError: there are not more than ``k`` rows.
    """
    if len(x) <= k:
        raise UserError(f"neighbours={k} needs at least {k + 1} pictures in each set, one has {len(x)}: choose fewer")
    # The nearest row is the row itself.
    return torch.cat([torch.cdist(rows, x).kthvalue(k + 1, dim=1).values for rows in x.split(CHUNK)])


def precision(features: Tensor, reference: Tensor, k: int = 3) -> float:
    """Share of ``features`` (N, D) in the union of balls around ``reference`` (M, D) that reach to the k-th neighbour.

    Improved precision of Kynkäänniemi et al. (arXiv:1904.06991), Equations 1 and 2; the balls are closed.
    """
    features, reference = _prepared(features, reference)
    return float((_balls_around(features, reference, k) > 0).double().mean())


def recall(features: Tensor, reference: Tensor, k: int = 3) -> float:
    """:func:`precision` with the two sets exchanged: the share of what is real that samples reach."""
    return precision(reference, features, k)


def density(features: Tensor, reference: Tensor, k: int = 5) -> float:
    """In how many of the reference's balls a feature lies on average, over ``k``; about 1 for equal distributions.

    Naeem et al. (arXiv:2002.09797); not bounded by 1.
    """
    features, reference = _prepared(features, reference)
    return float(_balls_around(features, reference, k).double().mean() / k)


def coverage(features: Tensor, reference: Tensor, k: int = 5) -> float:
    """Share of the reference's balls that hold a feature (Naeem et al., arXiv:2002.09797)."""
    features, reference = _prepared(features, reference)
    nearest = torch.cat([torch.cdist(rows, features).amin(dim=1) for rows in reference.split(CHUNK)])
    return float((nearest <= neighbour_radii(reference, k)).double().mean())


def _balls_around(features: Tensor, reference: Tensor, k: int) -> Tensor:
    """In how many balls of the reference each feature lies (N,)."""
    radii = neighbour_radii(reference, k)
    return torch.cat([(torch.cdist(rows, reference) <= radii).sum(dim=1) for rows in features.split(CHUNK)])


def _prepared(features: Tensor, reference: Tensor) -> tuple[Tensor, Tensor]:
    """In float64 and around 0, so that distances keep their digits."""
    features, reference = features.detach().double().cpu(), reference.detach().double().cpu()
    centre = reference.mean(dim=0)
    return features - centre, reference - centre


@dataclass(frozen=True, kw_only=True)
class OfNeighbourhoods(OfSamples):
    """What the balls around pictures that reach to some neighbour tell of samples.

    Args:
        neighbours: Rank of that neighbour.
    """

    higher_is_better = True

    neighbours: int


@dataclass(frozen=True, kw_only=True)
class Precision(OfNeighbourhoods):
    """Improved precision, 0 to 1: the share of samples that look real."""

    neighbours: int = 3

    def distance(self, features: Tensor, reference: Tensor) -> float:
        """The share."""
        return precision(features, reference, self.neighbours)


@dataclass(frozen=True, kw_only=True)
class Recall(OfNeighbourhoods):
    """Improved recall, 0 to 1: the share of real pictures that samples reach; the balls are those around samples."""

    neighbours: int = 3

    def distance(self, features: Tensor, reference: Tensor) -> float:
        """The share."""
        return recall(features, reference, self.neighbours)


@dataclass(frozen=True, kw_only=True)
class Density(OfNeighbourhoods):
    """Density, from 0: how densely samples lie where real pictures are."""

    neighbours: int = 5

    def distance(self, features: Tensor, reference: Tensor) -> float:
        """The mean number of balls, over the rank."""
        return density(features, reference, self.neighbours)


@dataclass(frozen=True, kw_only=True)
class Coverage(OfNeighbourhoods):
    """Coverage, 0 to 1: the share of real pictures with a sample nearby."""

    neighbours: int = 5

    def distance(self, features: Tensor, reference: Tensor) -> float:
        """The share."""
        return coverage(features, reference, self.neighbours)
