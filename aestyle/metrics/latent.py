"""What the posteriors of an autoencoder with Gaussian codes look like, each alone and all together."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from aestyle.errors import NotOffered
from aestyle.metrics.recipe import Histogram, Measurement, Recipe, Subject
from aestyle.protocol import GaussianModel


@dataclass(frozen=True, kw_only=True)
class LatentStatistic(Recipe):
    """A number about the posteriors ``N(mu, diag(sigma^2))`` of the pictures of ``split``; the prior is N(0, I).

    Args:
        max_images: At most this many pictures, evenly spaced; None takes all.
    """

    split: str = "train"
    max_images: int | None = 10_000

    def __call__(self, subject: Subject) -> Measurement:
        """Encodes the pictures, once for all such recipes."""
        mu, sigma = subject.once(("posterior", self.split, self.max_images), lambda: self._posteriors(subject))
        histogram = self.histogram(mu, sigma)
        return Measurement(self.name, self.value(mu, sigma), self.split, len(mu), histogram=histogram)

    @abstractmethod
    def value(self, mu: Tensor, sigma: Tensor) -> float:
        """The number; ``mu`` and ``sigma`` are (N, latent_dim) in float64, a sigma of either sign."""

    def histogram(self, mu: Tensor, sigma: Tensor) -> Histogram | None:
        """The values behind the number, where it is drawn over the training."""
        return None

    def _posteriors(self, subject: Subject) -> tuple[Tensor, Tensor]:
        model = subject.autoencoder
        if not isinstance(model, GaussianModel):
            raise NotOffered(f"{self.name} is about codes with a mean and a sigma, which this model does not have")
        batches = subject.originals(self.split, self.max_images)
        posteriors = subject.gather(torch.stack(tuple(model.posterior(x)), dim=1) for x in batches).double()
        return posteriors[:, 0], posteriors[:, 1]


class LatentMu(LatentStatistic):
    """Standard deviation of mu over the pictures, mean over dimensions; with the histogram of mu from -4 to 4."""

    def value(self, mu: Tensor, sigma: Tensor) -> float:
        """At most about 1 where the codes fill the prior."""
        return float(mu.std(dim=0, correction=0).mean())

    def histogram(self, mu: Tensor, sigma: Tensor) -> Histogram:
        """Of mu, all dimensions together (top of IAAE's Figure 10)."""
        return Histogram.of(mu, 4.0)


class LatentSigma(LatentStatistic):
    """Mean of ``|sigma|``, which IAAE finds to collapse to 0; with the histogram of sigma from -1.5 to 1.5."""

    def value(self, mu: Tensor, sigma: Tensor) -> float:
        """1 is as wide as the prior."""
        return float(sigma.abs().mean())

    def histogram(self, mu: Tensor, sigma: Tensor) -> Histogram:
        """Of sigma with its sign, all dimensions together (bottom of IAAE's Figure 10)."""
        return Histogram.of(sigma, 1.5)


class LatentSigmaMedian(LatentStatistic):
    """Median of ``|sigma|`` over pictures and dimensions."""

    def value(self, mu: Tensor, sigma: Tensor) -> float:
        """1 is as wide as the prior."""
        return float(sigma.abs().median())


@dataclass(frozen=True, kw_only=True)
class LatentCollapsed(LatentStatistic):
    """Share of collapsed sigmas, over pictures and dimensions.

    Args:
        below: A sigma of a smaller size has collapsed; that of the prior is 1.
    """

    below: float = 0.05

    def value(self, mu: Tensor, sigma: Tensor) -> float:
        """From 0 to 1."""
        return float((sigma.abs() < self.below).double().mean())


@dataclass(frozen=True, kw_only=True)
class LatentDead(LatentStatistic):
    """Number of dimensions that say nothing of the picture: mu hardly varies (Burda et al., arXiv:1509.00519).

    Args:
        variance: Up to this variance of mu over the pictures, a dimension is dead.
    """

    variance: float = 0.01

    def value(self, mu: Tensor, sigma: Tensor) -> float:
        """From 0 to latent_dim."""
        return float((mu.var(dim=0, correction=0) <= self.variance).sum())


class LatentCovariance(LatentStatistic):
    """Distance of the aggregate posterior's covariance from the prior's: Frobenius norm of ``C - I``."""

    def value(self, mu: Tensor, sigma: Tensor) -> float:
        """0 where they agree."""
        _, covariance = aggregate_moments(mu, sigma)
        return float(torch.linalg.matrix_norm(covariance - torch.eye(len(covariance), dtype=covariance.dtype)))


class LatentKL(LatentStatistic):
    """``KL(N(m, C) || N(0, I))`` in nats, with mean and covariance of the aggregate posterior."""

    def value(self, mu: Tensor, sigma: Tensor) -> float:
        """0 where both moments are the prior's; infinite for a covariance that is singular."""
        mean, covariance = aggregate_moments(mu, sigma)
        return float((covariance.trace() + mean.square().sum() - len(mean) - covariance.logdet()) / 2)


def aggregate_moments(mu: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (D,) and covariance (D, D) of the mixture of all ``N(mu, diag(sigma^2))``, each (N, D)."""
    mean = mu.mean(dim=0)
    centred = mu - mean
    return mean, centred.T @ centred / len(mu) + sigma.square().mean(dim=0).diag()
