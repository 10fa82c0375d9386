"""Linear probes: the direction in which codes of one class lie apart from the others, in closed form."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Probe:
    """Linear classifiers, one for each class against all others: ``code @ directions + offset > 0``.

    Args:
        directions: the normals of the borders, (classes, D), each of length 1, toward the class.
        offsets: (classes,); 0 of the classifier is midway between the means of both sides.
        apart: from the mean of the others to that of the class, (classes, D), each of length 1. A normal looks where
            codes vary least, which an image hardly shows; this is where the class really lies (Haufe et al., 2014, on
            filters and patterns).
    """

    directions: Tensor
    offsets: Tensor
    apart: Tensor

    def scores(self, codes: Tensor) -> Tensor:
        """Signed distances from the borders, (N, classes), of codes (N, D)."""
        return codes @ self.directions.T + self.offsets


def fit_probe(codes: Tensor, labels: Tensor, classes: Sequence[int], ridge: float = 0.1) -> Probe:
    """Least-squares classifiers, which are linear discriminants (Fisher, 1936) with a ridge.

    The direction is ``(C + ridge v I)^-1 (mean of the class - mean of the others)``, with C the covariance of all codes
    and v their mean variance. Large ridges give the difference of the means.

    Args:
        codes: (N, D); D may be larger than N.
        labels: class of each, int (N,).
        classes: those to be told from all others; each has codes, and so have the others.
        ridge: relative to the mean variance, above 0.
    """
    x = codes.double()
    centred = x - x.mean(dim=0)
    _, singular, basis = torch.linalg.svd(centred / len(x) ** 0.5, full_matrices=False)
    variances = singular.square()
    floor = ridge * variances.sum() / x.shape[1] + 1e-12
    directions, offsets, means = [], [], []
    for number in classes:
        inside, outside = x[labels == number].mean(dim=0), x[labels != number].mean(dim=0)
        apart = inside - outside
        # the inverse is 1 / floor outside of the span of the codes, where apart has no part
        direction = basis.T @ ((basis @ apart) / (variances + floor))
        direction = direction / direction.norm().clamp(min=1e-12)
        directions.append(direction)
        offsets.append(-(inside + outside) @ direction / 2)
        means.append(apart / apart.norm().clamp(min=1e-12))
    return Probe(*(torch.stack(found).to(codes.dtype) for found in (directions, offsets, means)))


def cross_validated_scores(
    codes: Tensor, labels: Tensor, folds: Tensor, classes: Sequence[int], ridge: float = 0.1
) -> Tensor:
    """Scores (N, classes) of every code by a probe that has not seen its fold.

    Args:
        codes: (N, D).
        labels: int (N,).
        folds: int (N,); see :func:`assign_folds`.
        classes: as for :func:`fit_probe`.
        ridge: likewise.
    """
    scores = codes.new_zeros(len(codes), len(classes))
    for fold in folds.unique():
        held = folds == fold
        scores[held] = fit_probe(codes[~held], labels[~held], classes, ridge).scores(codes[held])
    return scores


def balanced_accuracy(scores: Tensor, labels: Tensor, classes: Sequence[int]) -> Tensor:
    """Mean of the rates at which a class and the others are told right: (classes,); chance is 1/2.

    Args:
        scores: (N, classes), positive for the class.
        labels: int (N,).
        classes: number of each column.
    """
    of_class = labels[:, None] == torch.tensor(classes, device=labels.device)
    right = (scores > 0) == of_class
    hits = (right & of_class).sum(dim=0) / of_class.sum(dim=0)
    rejections = (right & ~of_class).sum(dim=0) / (~of_class).sum(dim=0)
    return (hits + rejections) / 2


def assign_folds(labels: Sequence[int], groups: Sequence[str], folds: int) -> Tensor:
    """A fold for each code, int (N,): classes are spread over all folds, and a group stays in one of them.

    Args:
        labels: class of each code.
        groups: codes of one group show the same, so that one must not be tested by the others.
        folds: how many.
    """
    ranks: dict[str, int] = {}
    for _, group in sorted(zip(labels, groups, strict=True)):
        ranks.setdefault(group, len(ranks))
    return torch.tensor([ranks[group] % folds for group in groups])
