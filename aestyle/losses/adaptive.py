"""The adaptive weight of AE-StyleGAN's Equation 6, after VQGAN."""

from collections.abc import Sequence

import torch
from torch import Tensor


def adaptive_weight(
    rec_gradients: Sequence[Tensor], adv_gradients: Sequence[Tensor], eps: float = 1e-4, maximum: float = 1e4
) -> Tensor:
    """``beta = |grad L_rec| / (|grad L_adv| + eps)``, clamped to [0, maximum] and detached.

    The norms run over all given tensors together. The paper prints a ratio of gradients and eps = 1e-6; its code takes
    norms, eps = 1e-4 and the clamp, which are the defaults here. A factor on L_adv cancels (but for eps).

    Args:
        rec_gradients: gradients of the reconstruction loss with respect to G's last layer(s).
        adv_gradients: gradients of the adversarial loss with respect to the same tensors.
        eps: keeps the ratio finite.
        maximum: upper bound of the weight.

    Returns:
        A scalar tensor without graph.
    """
    rec_norm = torch.stack([g.detach().norm() for g in rec_gradients]).norm()
    adv_norm = torch.stack([g.detach().norm() for g in adv_gradients]).norm()
    return (rec_norm / (adv_norm + eps)).clamp(0.0, maximum)
