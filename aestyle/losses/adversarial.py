"""Logistic adversarial losses (Goodfellow et al., 2014) on logits, and the weighted form of AE-StyleGAN.

AE-StyleGAN writes them as value functions V to be maximised by D; here is ``-V``, to be minimised. A is softplus.
"""

from torch import Tensor
from torch.nn import functional as F


def real_loss(logits: Tensor) -> Tensor:
    """``E A(-D(x))``: small where D takes real images for real. Also the non-saturating loss of a generator.

    Args:
        logits: D's logits, any shape.

    Returns:
        The mean over all logits.
    """
    return F.softplus(-logits).mean()


def fake_loss(logits: Tensor) -> Tensor:
    """``E A(D(x~))``: small where D takes generated images for generated. ``logits`` as in :func:`real_loss`."""
    return F.softplus(logits).mean()


def generator_loss(logits: Tensor, saturating: bool = False) -> Tensor:
    """Loss of a generator from D's logits on its images.

    Args:
        logits: D's logits on generated images.
        saturating: the literal Equation 1, ``-E A(D(x~))``, whose gradient vanishes where D is sure. The default is
            the non-saturating ``E A(-D(x~))``, which all reference code uses.
    """
    return -fake_loss(logits) if saturating else real_loss(logits)


def discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """``-V`` of Equation 1: ``E A(-D(x)) + E A(D(G(F(z))))``.

    Args:
        real: logits on real images.
        fake: logits on generated images.
    """
    return real_loss(real) + fake_loss(fake)


def aegan_discriminator_loss(
    real: Tensor, fake: Tensor, rec: Tensor, fake_weight: float = 0.9, rec_weight: float = 0.1
) -> Tensor:
    """``-V`` of AE-StyleGAN's Equation 5: reconstructions are a second kind of negatives.

    Args:
        real: logits on real images.
        fake: logits on samples G(F(z)).
        rec: logits on reconstructions G(E(x)).
        fake_weight: 1 - lambda_adv in the paper (0.9), 1 in the official code.
        rec_weight: lambda_adv in the paper (0.1), 1 in the official code.
    """
    return real_loss(real) + fake_weight * fake_loss(fake) + rec_weight * fake_loss(rec)
