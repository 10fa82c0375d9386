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


def discriminator_loss(real: Tensor, *negatives: tuple[Tensor, float]) -> Tensor:
    """``-V``: ``E A(-D(x)) + sum_k weight_k E A(D(x_k))`` over kinds of negatives.

    One kind, samples of weight 1, is Equation 1; distorted images beside samples are Equation 3; reconstructions beside
    samples, of weights lambda_adv and 1 - lambda_adv (1 and 1 in the official code), are Equation 5.

    Args:
        real: logits on real images.
        *negatives: logits on images that D should take for generated, and their weight.
    """
    return sum((weight * fake_loss(logits) for logits, weight in negatives), start=real_loss(real))
