"""Losses of Wasserstein GANs with a gradient penalty (Gulrajani et al., 2017), as progressive GANs use them."""

from collections.abc import Callable

import torch
from torch import Tensor


def critic_loss(real: Tensor, fake: Tensor) -> Tensor:
    """``E D(G(z)) - E D(x)``: the critic's estimate of the Wasserstein distance, negated.

    Args:
        real: D's outputs on real images, any shape.
        fake: those on generated ones.
    """
    return fake.mean() - real.mean()


def gradient_penalty(critic: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, share: Tensor) -> Tensor:
    """``E (|grad D(x^)| - 1)^2`` on the way between real and generated images, ``x^ = share x + (1 - share) G(z)``.

    Args:
        critic: D, from images to outputs (N, 1); differentiated twice.
        real: real images (N, C, H, W).
        fake: generated images of the same shape.
        share: (N,), uniform in [0, 1].

    Returns:
        The mean over the batch; the norm is that of all of an image's elements.
    """
    between = torch.lerp(fake.detach(), real, share.view(-1, 1, 1, 1)).requires_grad_()
    (gradient,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
    return (gradient.flatten(1).norm(dim=1) - 1).square().mean()
