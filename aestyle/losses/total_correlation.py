"""Total correlation of a code by the density-ratio trick of FactorVAE (Kim and Mnih, 2018)."""

from torch import Tensor


def permute_dims(codes: Tensor, order: Tensor) -> Tensor:
    """Shuffles every dimension over the batch on its own: samples of the product of the code's marginals.

    Args:
        codes: (N, D).
        order: (N, D) numbers whose ranks along the batch give the permutation of each dimension.

    Returns:
        (N, D).
    """
    return codes.gather(0, order.argsort(dim=0))


def total_correlation(logits: Tensor) -> Tensor:
    """``KL(q(c) || prod_j q(c_j))``, the mean log ratio that a critic tells codes from permuted ones by.

    Args:
        logits: the critic's logits on codes; positive where it takes them for unpermuted.

    Returns:
        A scalar.
    """
    return logits.mean()
