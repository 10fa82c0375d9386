"""Linear autoencoders: what any reconstruction has to beat."""

from dataclasses import dataclass

import torch
from torch import Tensor

from aestyle.data.transforms import to_float
from aestyle.metrics.recipe import Measurement, Recipe, Subject


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
        total, num_images = 0.0, 0
        for x in subject.originals(self.split):
            centred = x.flatten(1).double().cpu() - mean
            residual = centred - centred @ basis @ basis.T
            total += float(residual.square().mean(dim=1).sum())
            num_images += len(x)
        return Measurement(self.name, total / num_images, self.split, num_images, reference="train")

    def _fit_pictures(self, subject: Subject) -> Tensor:
        train = subject.data.images("train")
        count = min(len(train), self.max_fit_images)
        return to_float(train.batch([i * len(train) // count for i in range(count)])).flatten(1).double()


def principal_components(x: Tensor, components: int) -> tuple[Tensor, Tensor]:
    """Mean (D,) of the rows of ``x`` (N, D) and their first principal directions as columns (D, components).

    There are no more than min(N, D) directions.
    """
    mean = x.mean(dim=0)
    return mean, torch.linalg.svd(x - mean, full_matrices=False).Vh[:components].T
