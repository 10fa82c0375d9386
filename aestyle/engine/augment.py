"""What happens to every image on its way into the discriminator."""

from typing import Protocol

from torch import Tensor

from aestyle.engine.draws import Draws


class Augment(Protocol):
    """An augmentation of the discriminator's input: differentiable twice, drawn per image, and blind to real and fake."""

    def __call__(self, images: Tensor, draws: Draws, name: str) -> Tensor:
        """Images (N, C, H, W) in [-1, 1] to images of the same shape; ``name`` keys the draws of this batch."""
        ...


class NoAugment:
    """Leaves images as they are."""

    def __call__(self, images: Tensor, draws: Draws, name: str) -> Tensor:  # noqa: ARG002
        """The images themselves."""
        return images
