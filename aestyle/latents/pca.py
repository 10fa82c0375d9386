"""Principal components of codes (GANSpace: Härkönen et al., arXiv:2004.02546)."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from aestyle.errors import UserError


@dataclass(frozen=True)
class Components:
    """Orthonormal directions in which vectors vary, the widest first.

    Args:
        directions: (K, D), each of length 1; its entry of largest size is positive.
        mean: (D,).
        std: standard deviations along the directions, (K,).
        share: their shares of the total variance, (K,).
    """

    directions: Tensor
    mean: Tensor
    std: Tensor
    share: Tensor


def style_components(batches: Iterable[Tensor], k: int) -> Components:
    """Components of single styles: the vectors along the last dimension of codes, rows and layers taken together.

    Codes are summed up batch by batch, in double precision: any number of them fits into memory.

    Args:
        batches: codes (N, ..., D) each.
        k: number of components.

    Raises:
        UserError: there are fewer components, or fewer than 2 vectors.
    """
    count, total, products, dtype = 0, torch.zeros(()), torch.zeros(()), torch.float32
    for batch in batches:
        vectors, dtype = batch.reshape(-1, batch.shape[-1]).double(), batch.dtype
        count, total, products = count + len(vectors), total + vectors.sum(dim=0), products + vectors.T @ vectors
    _require(k, count, total.shape[0] if total.ndim else 0)
    mean = total / count
    covariance = (products - count * torch.outer(mean, mean)) / (count - 1)
    variances, vectors = torch.linalg.eigh(covariance)
    return _components(vectors.T.flip(0)[:k], mean, variances.flip(0).clamp(min=0), k, dtype)


def code_components(codes: Tensor, k: int) -> Components:
    """Components of whole codes (N, ...), flattened to D numbers each; N may be much smaller than D.

    Args:
        codes: all at once, as a style matrix has too many numbers for a covariance matrix.
        k: number of components.

    Raises:
        UserError: there are fewer components, or fewer than 2 codes.
    """
    vectors = codes.flatten(1)
    _require(k, len(vectors), min(len(vectors) - 1, vectors.shape[1]))
    mean = vectors.mean(dim=0)
    _, singular, directions = torch.linalg.svd(vectors - mean, full_matrices=False)
    return _components(directions[:k], mean, singular.square() / (len(vectors) - 1), k, codes.dtype)


def oriented(directions: Tensor) -> Tensor:
    """Directions (K, ...) with the sign that makes the entry of largest size positive, as eigenvectors have none."""
    flat = directions.flatten(1)
    largest = flat.gather(1, flat.abs().argmax(dim=1, keepdim=True))
    return (flat * torch.where(largest < 0, -1, 1)).view_as(directions)


def _components(directions: Tensor, mean: Tensor, variances: Tensor, k: int, dtype: torch.dtype) -> Components:
    share = variances[:k] / variances.sum().clamp(min=1e-30)
    return Components(
        *(found.to(dtype) for found in (oriented(directions), mean, variances[:k].sqrt(), share)),
    )


def _require(k: int, count: int, most: int) -> None:
    if count < 2:
        raise UserError(f"principal components take at least 2 codes, not {count}")
    if not 1 <= k <= most:
        raise UserError(f"components={k}: give a number from 1 to {most}, as many as there are")
