"""Negative data augmentation: distorted real images that D is to take for generated (Sinha et al., 2021)."""

from itertools import permutations

import torch
from torch import Tensor

from aestyle.engine.draws import Draws
from aestyle.errors import UserError


class Jigsaw:
    """The quarters of an image in another order: locally real, globally wrong.

    Args:
        weight: share of these images among D's negatives, ``1 - lambda`` of AE-StyleGAN's Equation 3; in [0, 1].

    Raises:
        UserError: ``weight`` is no share.
    """

    def __init__(self, weight: float = 0.1) -> None:
        if not 0 <= weight <= 1:
            raise UserError(f"method.nda.weight={weight}: give a share from 0 to 1")
        self.weight = weight
        self.orders = torch.tensor(list(permutations(range(4)))[1:])  # all but the identity

    def __call__(self, images: Tensor, draws: Draws) -> Tensor:
        """Images (N, C, H, W), H and W even, with their quarters in one of the 23 wrong orders, drawn per image."""
        n, c, h, w = images.shape
        chosen = (draws.uniforms("jigsaw", (), n) * len(self.orders)).long()
        order = self.orders.to(images.device)[chosen]
        quarters = images.view(n, c, 2, h // 2, 2, w // 2).permute(0, 2, 4, 1, 3, 5).flatten(1, 2)
        shuffled = quarters[torch.arange(n, device=images.device)[:, None], order]
        return shuffled.view(n, 2, 2, c, h // 2, w // 2).permute(0, 3, 1, 4, 2, 5).reshape(n, c, h, w)
