"""Whether different codes show the same picture: distances between codes beside distances between images."""

from collections.abc import Mapping

import torch
from torch import Tensor

from aestyle.latents.interpolation import choose_pairs
from aestyle.latents.inversion import Weighted


@torch.no_grad()
def pairwise(codes: Tensor, images: Tensor, distances: Mapping[str, Weighted]) -> dict[str, Tensor]:
    """Distances of all pairs, each with every later one.

    Args:
        codes: (K, *shape).
        images: (K, C, R, R).
        distances: of images, by name; their weights do not count here.

    Returns:
        ``codes``: root mean square differences, and the distances by their names, each (K (K - 1) / 2,), on the CPU.
    """
    first, second = (list(side) for side in zip(*choose_pairs(len(codes), "all"), strict=True))
    found = {"codes": (codes[first] - codes[second]).flatten(1).square().mean(dim=1).sqrt()}
    found |= {name: distance(images[first], images[second]) for name, (distance, _) in distances.items()}
    return {name: values.cpu() for name, values in found.items()}
