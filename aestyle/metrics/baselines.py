"""Linear autoencoders: what any reconstruction has to beat."""

from dataclasses import dataclass

import torch
from torch import Tensor

from aestyle.data.transforms import to_float
from aestyle.metrics.recipe import Measurement, Recipe, Subject, spaced


@dataclass(frozen=True, kw_only=True)
class LinearBaseline(Recipe):
    """Mean squared error, on [-1, 1], of pictures projected onto the principal components of the train split.

    Args:
        components: How many; 0 leaves the mean image alone.
        max_fit_images: Fit on at most this many train pictures (evenly spaced ones), which bounds time and memory.
    """

    components: int
    max_fit_images: int = 1000

    def __call__(self, subject: Subject) -> Measurement:
        """Fits on the plain train pictures (no flips) and measures the pictures of ``split``."""
        mean, basis = principal_components(self._fit_pictures(subject), self.components)
        errors = subject.gather(_residual(x, mean, basis) for x in subject.originals(self.split))
        return Measurement(self.name, float(errors.mean()), self.split, len(errors), reference="train")

    def _fit_pictures(self, subject: Subject) -> Tensor:
        train = subject.data.images("train")
        return to_float(train.batch(spaced(len(train), self.max_fit_images))).flatten(1).double()


def _residual(x: Tensor, mean: Tensor, basis: Tensor) -> Tensor:
    """Mean squared error (n,) of each picture's projection."""
    centred = x.flatten(1).double().cpu() - mean
    return (centred - centred @ basis @ basis.T).square().mean(dim=1)


def principal_components(x: Tensor, components: int) -> tuple[Tensor, Tensor]:
    """Mean (D,) of the rows of ``x`` (N, D) and their first principal directions as columns (D, components).

    There are no more than min(N, D) directions.
    """
    mean = x.mean(dim=0)
    return mean, torch.linalg.svd(x - mean, full_matrices=False).Vh[:components].T
