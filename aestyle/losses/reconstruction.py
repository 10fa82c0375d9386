"""Pixel losses between images and their reconstructions."""

from collections.abc import Callable

from torch import Tensor


def mse(x: Tensor, rec: Tensor) -> Tensor:
    """Mean squared error over all elements; the pixel term of the reference code for AE-StyleGAN's Equation 2."""
    return (x - rec).square().mean()


def l1(x: Tensor, rec: Tensor) -> Tensor:
    """Mean absolute error over all elements."""
    return (x - rec).abs().mean()


def l2norm(x: Tensor, rec: Tensor) -> Tensor:
    """Euclidean norm of each image's error, averaged over images: Equation 2 to the letter."""
    return (x - rec).flatten(1).norm(dim=1).mean()


PIXEL_LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"mse": mse, "l1": l1, "l2norm": l2norm}
