"""Losses of AGE (Ulyanov et al., 2018) and PIONEER (Heljakka et al., 2018): an encoder against a generator."""

import math

import torch
from torch import Tensor


def moment_kl(mean: Tensor, variance: Tensor) -> Tensor:
    """Divergence of a batch's codes from N(0, I), as the mean over the d dimensions.

    Equation 1 of PIONEER divided by d, as in its code:
    ``1/d sum_j KL(N(m_j, v_j) || N(0, 1)) = 1/d sum_j ((v_j + m_j^2) / 2 - log(v_j) / 2 - 1/2)``. On the unit sphere
    the first term is constant, and :func:`sphere_kl_floor` the least value.

    Args:
        mean: m, (d,): mean of each dimension over the batch.
        variance: v, (d,): biased variance of each dimension over the batch.

    Returns:
        A scalar.
    """
    return ((variance + mean.square()) / 2 - _log(variance) / 2 - 0.5).mean()


def historical_moment_kl(mean: Tensor, variance: Tensor) -> Tensor:
    """What the code of AGE computes in the place of :func:`moment_kl`: the variance where sigma belongs.

    It is no divergence; only runs that follow that code have a use for it. Arguments as there.
    """
    return ((variance.square() + mean.square()) / 2 - _log(variance) - 0.5).mean()


def _log(variance: Tensor) -> Tensor:
    return torch.log(variance + 1e-12)  # collapsed codes have none


def sphere_kl_floor(dim: int) -> float:
    """The least :func:`moment_kl` of codes on the unit sphere in ``dim`` dimensions: all variances 1 / dim."""
    return 0.5 / dim - 0.5 + 0.5 * math.log(dim)


def code_mismatch(z: Tensor, codes: Tensor) -> Tensor:
    """``1/d sum_j (2 - codes_j z_j)``, averaged over the batch: 2 - cos / d for unit codes (N, d), as in the code."""
    return (2 - z * codes).mean()
