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
class Precision(OfSamples):
    """Improved precision of samples, 0 to 1.

    Args:
        neighbours: The balls around real pictures reach to the neighbour of this rank.
    """

    higher_is_better = True

    neighbours: int = 3

    def distance(self, features: Tensor, reference: Tensor) -> float:
        """The share of samples that look real."""
        return precision(features, reference, self.neighbours)


class Recall(Precision):
    """Improved recall of samples, 0 to 1; the balls are those around samples."""

    def distance(self, features: Tensor, reference: Tensor) -> float:
        """The share of real pictures that samples reach."""
        return recall(features, reference, self.neighbours)


@dataclass(frozen=True, kw_only=True)
class Density(OfSamples):
    """Density of samples, from 0.

    Args:
        neighbours: The balls around real pictures reach to the neighbour of this rank.
    """

    higher_is_better = True

    neighbours: int = 5

    def distance(self, features: Tensor, reference: Tensor) -> float:
        """How densely samples lie where real pictures are."""
        return density(features, reference, self.neighbours)


class Coverage(Density):
    """Coverage of samples, 0 to 1."""

    def distance(self, features: Tensor, reference: Tensor) -> float:
        """The share of real pictures with a sample nearby."""
        return coverage(features, reference, self.neighbours)
