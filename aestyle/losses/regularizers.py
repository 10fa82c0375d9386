"""Gradient penalties of StyleGAN2: R1 on the discriminator, path length on the generator."""

import math
from collections.abc import Callable

import torch
from torch import Tensor


def r1_penalty(discriminate: Callable[[Tensor], Tensor], real: Tensor) -> Tensor:
    """R1 without its weight: ``E |grad_x D(x)|^2`` over real images (Mescheder et al., 2018).

    Args:
        discriminate: D, from images to logits; differentiated twice.
        real: real images (N, C, H, W).

    Returns:
        The mean over the batch of the squared gradient norm; multiply by gamma / 2.
    """
    real = real.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(discriminate(real).sum(), real, create_graph=True)
    return gradient.square().sum(dim=(1, 2, 3)).mean()


def path_lengths(images: Tensor, ws: Tensor, direction: Tensor) -> Tensor:
    """Length of ``J^T y``, J the Jacobian of images with respect to styles (StyleGAN2, section 3.2).

    Args:
        images: G(ws), with its graph.
        ws: styles (N, num_ws, style_dim) or style matrices (N, num_ws, rows, style_dim), one of the graph's inputs.
        direction: noise y ~ N(0, 1) of the images' shape; scaled by ``1 / sqrt(H W)`` here.

    Returns:
        (N,): root of the mean over layers of the squared norm of a layer's gradient, differentiable.
    """
    projection = (images * direction).sum() / math.sqrt(images.shape[2] * images.shape[3])
    (gradient,) = torch.autograd.grad(projection, ws, create_graph=True)
    return gradient.square().flatten(2).sum(dim=2).mean(dim=1).sqrt()


def running_mean(value: Tensor, mean: Tensor, decay: float = 0.01) -> Tensor:
    """One step of the running mean of path lengths: ``mean + decay * (value - mean)``."""
    return mean + decay * (value - mean)
