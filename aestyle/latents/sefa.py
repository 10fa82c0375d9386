"""Directions from weights alone: closed-form factorisation (SeFa: Shen and Zhou, arXiv:2007.06600)."""

from collections.abc import Sequence

import torch
from torch import Tensor

from aestyle.errors import UserError
from aestyle.latents.pca import oriented


def factorize(weights: Sequence[Tensor], k: int, normalize: bool = True) -> tuple[Tensor, Tensor]:
    """The styles that change the outputs of linear layers most: eigenvectors of ``sum A^T A``.

    Args:
        weights: matrices A (outputs, D) of the layers that a style enters.
        k: number of directions.
        normalize: scale every output's weights to length 1 first, as the authors' code does.

    Returns:
        Orthonormal directions (k, D), the one of the largest eigenvalue first, and the eigenvalues (k,).

    Raises:
        UserError: there are fewer directions.
    """
    stacked = torch.cat(list(weights)).double()
    if normalize:
        stacked = stacked / stacked.norm(dim=1, keepdim=True).clamp(min=1e-12)
    return _widest(stacked.T @ stacked, k, weights[0].dtype)


def factorize_rows(weights: Sequence[Tensor], energies: Sequence[Tensor], k: int) -> tuple[Tensor, Tensor]:
    """Directions of every row of a style matrix, where row r scales the kernels of one output channel only.

    A step d of row r changes that channel's kernels by ``theta_r * (A d)``, whose squared length is
    ``d^T A^T diag(e_r) A d`` with e_r the squared lengths of its kernels: the widest d are eigenvectors. Their signs
    agree with the direction found for all rows together.

    Args:
        weights: one A (inputs, D) for each layer.
        energies: squared lengths of the kernels (rows, inputs) for each layer; 0 where a layer does not use a row.
        k: number of directions.

    Returns:
        Directions (k, rows, D), each row of length 1 (0 in rows that no layer uses), and the eigenvalues summed over
        rows, (k,).
    """
    shared, _ = factorize([a * e.sum(dim=0).sqrt()[:, None] for a, e in zip(weights, energies, strict=True)], k, False)
    directions, values = [], []
    for row in range(len(energies[0])):
        gram = sum(((a * e[row, :, None]).T.double() @ a.double() for a, e in zip(weights, energies, strict=True)))
        assert isinstance(gram, Tensor)
        found, value = _widest(gram, k, weights[0].dtype)
        sign = torch.where((found * shared).sum(dim=1, keepdim=True) < 0, -1, 1)
        directions.append(found * sign * bool(value.any()))
        values.append(value)
    return torch.stack(directions, dim=1), torch.stack(values).sum(dim=0)


def _widest(gram: Tensor, k: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    if not 1 <= k <= len(gram):
        raise UserError(f"components={k}: give a number from 1 to {len(gram)}, as many as there are")
    values, vectors = torch.linalg.eigh(gram)
    return oriented(vectors.T.flip(0)[:k]).to(dtype), values.flip(0)[:k].to(dtype)
