"""Linear autoencoders and Gaussians: what any reconstruction and any sample has to beat."""

from dataclasses import dataclass

import torch
from torch import Tensor

from aestyle.data.transforms import to_float
from aestyle.engine.draws import sample_normal
from aestyle.metrics.frechet import SampleFrechetDistance
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
        mean, directions, _ = fit_components(subject, self.max_fit_images)
        basis = directions[:, : self.components]
        errors = subject.gather(_residual(x, mean, basis) for x in subject.originals(self.split))
        return Measurement(self.name, float(errors.mean()), self.split, len(errors), reference="train")


def _residual(x: Tensor, mean: Tensor, basis: Tensor) -> Tensor:
    """Mean squared error (n,) of each picture's projection."""
    centred = x.flatten(1).double().cpu() - mean
    return (centred - centred @ basis @ basis.T).square().mean(dim=1)


@dataclass(frozen=True, kw_only=True)
class GaussianFrechetDistance(SampleFrechetDistance):
    """Fréchet distance of samples of a Gaussian, clamped to [-1, 1] (8 bits do so).

    The Gaussian has the mean of the train pictures, and their variances along their first principal components.

    Args:
        components: How many.
        max_fit_images: As in :class:`LinearBaseline`.
    """

    components: int
    max_fit_images: int = 1000

    def features(self, subject: Subject) -> Tensor:
        """Features of the samples."""
        mean, directions, deviations = fit_components(subject, self.max_fit_images)
        scaled = directions[:, : self.components] * deviations[: self.components]
        shape = subject.data.images("train").batch([0]).shape[1:]

        def draw(n: int, seed: int) -> Tensor:
            codes = sample_normal(seed, "pca", n, scaled.shape[1:], torch.device("cpu"))
            return (mean + codes.double() @ scaled.T).float().view(n, *shape)

        count = len(subject.data.images(self.reference)) if self.num_images is None else self.num_images
        return subject.extract(self.extractor, subject.drawn(draw, count, self.seed, "samples"))


def fit_components(subject: Subject, max_images: int) -> tuple[Tensor, Tensor, Tensor]:
    """:func:`principal_components` of at most ``max_images`` evenly spaced train pictures, computed once."""
    train = subject.data.images("train")

    def fit() -> tuple[Tensor, Tensor, Tensor]:
        return principal_components(to_float(train.batch(spaced(len(train), max_images))).flatten(1).double())

    return subject.once(("principal components", max_images), fit)


def principal_components(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Principal components of the rows of ``x`` (N, D): K = min(N, D) of them, the largest first.

    Returns:
        The mean (D,), the directions as columns (D, K) and the standard deviations along them (K,).
    """
    mean = x.mean(dim=0)
    _, lengths, directions = torch.linalg.svd(x - mean, full_matrices=False)
    peaks = directions.gather(1, directions.abs().argmax(dim=1, keepdim=True))
    directions = directions * peaks.sign()  # either sign is a principal direction; samples need one of them
    return mean, directions.T, lengths / max(len(x) - 1, 1) ** 0.5
