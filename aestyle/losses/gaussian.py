"""Divergences between a diagonal Gaussian and N(0, I), and the term that IAAE's code has in their place."""

import torch
from torch import Tensor


def kl_to_prior(mean: Tensor, variance: Tensor) -> Tensor:
    """``KL(N(mean, variance) || N(0, I))``, posterior to prior as in a VAE: ``sum_j (v + m^2 - 1 - log v) / 2``.

    Args:
        mean: (..., D).
        variance: (..., D), kept above 1e-12.

    Returns:
        (...,), in nats.
    """
    variance = variance.clamp(min=1e-12)
    return (variance + mean.square() - 1 - variance.log()).sum(dim=-1) / 2


def kl_from_prior(mean: Tensor, variance: Tensor) -> Tensor:
    """``KL(N(0, I) || N(mean, variance))``, in the order that IAAE's section 5.2 prints.

    ``sum_j ((1 + m^2) / v - 1 + log v) / 2``; arguments and value as in :func:`kl_to_prior`.
    """
    variance = variance.clamp(min=1e-12)
    return ((1 + mean.square()) / variance - 1 + variance.log()).sum(dim=-1) / 2


def printed_kld(codes: Tensor, prior: Tensor) -> Tensor:
    """What the code of KLD-loss-IAAE adds: the divergence of ``softmax(E(x))`` from raw draws of the prior.

    The draws are no distribution. Where one is not positive its term is left out, as PyTorch did then; now it is NaN.

    Args:
        codes: (N, D).
        prior: (N, D), draws from N(0, 1).

    Returns:
        The mean over all N * D entries.
    """
    positive = prior > 0
    target = torch.where(positive, prior, 1.0)
    terms = target * (target.log() - codes.log_softmax(dim=1))
    return torch.where(positive, terms, 0.0).mean()
