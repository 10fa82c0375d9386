"""The Gaussian that an encoder gives for each image, and how its last layer's output becomes sigma."""

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor
from torch.nn import functional as F


class Posterior(NamedTuple):
    """``N(mu, diag(sigma^2))`` of each image; a negative sigma is one of the same size.

    Args:
        mu: (N, latent_dim).
        sigma: (N, latent_dim).
    """

    mu: Tensor
    sigma: Tensor

    def sample(self, eps: Tensor) -> Tensor:
        """``mu + eps * sigma`` for eps ~ N(0, 1) of the same shape."""
        return self.mu + eps * self.sigma


class Sigma(Protocol):
    """Makes sigma out of the encoder's raw output."""

    def __call__(self, raw: Tensor) -> Tensor:
        """Maps (N, latent_dim) to the same shape."""
        ...


class Linear:
    """The raw output itself, which may be negative and may reach 0: the IAAE authors' code."""

    def __call__(self, raw: Tensor) -> Tensor:
        """See :class:`Sigma`."""
        return raw


class Softplus:
    """``log(1 + exp(raw))``."""

    def __call__(self, raw: Tensor) -> Tensor:
        """See :class:`Sigma`."""
        return F.softplus(raw)


class Exponential:
    """``exp(raw / 2)``: the raw output is a log variance, as in a VAE."""

    def __call__(self, raw: Tensor) -> Tensor:
        """See :class:`Sigma`."""
        return (raw / 2).exp()


@dataclass(frozen=True)
class Floor:
    """``sqrt(raw^2 + least^2)``: a sigma that cannot collapse.

    Args:
        least: its lower bound, with a prior of 1.
    """

    least: float

    def __call__(self, raw: Tensor) -> Tensor:
        """See :class:`Sigma`."""
        return (raw.square() + self.least**2).sqrt()


@dataclass(frozen=True)
class Fixed:
    """The same sigma for every image and dimension; the encoder learns mu alone.

    Args:
        value: sigma, with a prior of 1.
    """

    value: float

    def __call__(self, raw: Tensor) -> Tensor:
        """See :class:`Sigma`."""
        return torch.full_like(raw, self.value)
