"""Sliced Wasserstein distance of small patches at several scales (Karras et al., 2018, section 5)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from aestyle.errors import UserError
from aestyle.metrics.distance import FeatureDistance, OfOriginals, OfReconstructions, OfSamples
from aestyle.metrics.recipe import Extractor

SMALLEST = 16
"""Side of the coarsest level of a pyramid, in pixels."""

PATCH = 7
"""Side of a patch, in pixels."""


@dataclass(frozen=True)
class Pixels:
    """The picture itself as its features; see :class:`~aestyle.metrics.recipe.Extractor`."""

    name = "pixels"
    resize = "none"
    num_features = 0  # as many as there are
    keep = False
    """Whether features of real pictures are worth a file."""

    def __call__(self, x: Tensor) -> Tensor:
        """Images (N, C, H, W) to (N, C * H * W)."""
        return x.flatten(1)


def blur(x: Tensor) -> Tensor:
    """Images (N, C, H, W) under the binomial 5 x 5 filter, with mirrored borders."""
    weights = torch.tensor([1.0, 4, 6, 4, 1], dtype=x.dtype, device=x.device) / 16
    kernel = torch.outer(weights, weights).expand(x.shape[1], 1, 5, 5)
    return F.conv2d(F.pad(x, (2, 2, 2, 2), mode="reflect"), kernel, groups=x.shape[1])


def laplacian_pyramid(x: Tensor) -> list[Tensor]:
    """What each level adds to the next coarser one, the finest first; the last is the coarsest picture itself.

    Args:
        x: images (N, C, R, R).

    Returns:
        Images of sides R, R / 2, ..., the last one of at least 16 pixels (or R, if that is less).
    """
    levels = [x]
    while levels[-1].shape[-1] // 2 >= SMALLEST:
        fine = levels[-1]
        coarse = blur(fine)[:, :, ::2, ::2]
        enlarged = torch.zeros_like(fine)
        enlarged[:, :, ::2, ::2] = coarse
        levels[-1] = fine - 4 * blur(enlarged)
        levels.append(coarse)
    return levels


def draw_patches(x: Tensor, per_image: int, generator: torch.Generator) -> Tensor:
    """Square patches of 7 pixels, at places drawn at random.

    Args:
        x: images (N, C, R, R).
        per_image: patches of each.
        generator: draws the places.

    Returns:
        (N * per_image, C, 7, 7).

    Raises:
        UserError: the images are smaller.
    """
    side = x.shape[-1]
    if side < PATCH:
        raise UserError(f"the sliced Wasserstein distance takes pictures of at least 8 px, not {side}")
    top, left = torch.randint(side - PATCH + 1, (2, len(x), per_image, 1), generator=generator)
    grid = torch.arange(PATCH)[:, None] * side + torch.arange(PATCH)
    places = (top * side + left + grid.flatten()).view(len(x), 1, -1)
    patches = x.flatten(2).gather(2, places.expand(-1, x.shape[1], -1))
    return patches.view(len(x), x.shape[1], per_image, PATCH, PATCH).transpose(1, 2).flatten(0, 1)


def standardise(patches: Tensor) -> Tensor:
    """Patches (N, C, 7, 7) with mean 0 and deviation 1 in each channel, as vectors (N, C * 49)."""
    deviation, mean = torch.std_mean(patches, dim=(0, 2, 3), correction=0, keepdim=True)
    return ((patches - mean) / deviation.clamp(min=1e-12)).flatten(1)


def sliced_wasserstein(a: Tensor, b: Tensor, directions: Tensor) -> float:
    """The mean over directions of the 1-Wasserstein distance of two sets of points, seen along each.

    Args:
        a: (N, D).
        b: (N, D).
        directions: (K, D), of any length but 0.
    """
    directions = F.normalize(directions, dim=1)
    distances = [
        (torch.sort(a @ few.t(), dim=0).values - torch.sort(b @ few.t(), dim=0).values).abs().mean(dim=0)
        for few in directions.split(16)  # for the memory's sake
    ]
    return float(torch.cat(distances).double().mean())


def swd_levels(
    images: Tensor, reference: Tensor, per_image: int = 128, directions: int = 128, seed: int = 0
) -> list[float]:
    """Sliced Wasserstein distance of standardised patches at each level of the Laplacian pyramid, times 1000.

    Args:
        images: (N, C, R, R).
        reference: (N, C, R, R).
        per_image: patches of each image and level.
        directions: projections a level.
        seed: of places and projections.

    Returns:
        One distance a level, the finest first.
    """
    generator = torch.Generator().manual_seed(seed)
    found = []
    for levels in zip(laplacian_pyramid(images), laplacian_pyramid(reference), strict=True):
        a, b = (standardise(draw_patches(x, per_image, generator)) for x in levels)
        slices = torch.randn(directions, a.shape[1], generator=generator).to(a)
        found.append(1000 * sliced_wasserstein(a, b, slices))
    return found


@dataclass(frozen=True, kw_only=True)
class SlicedWasserstein(FeatureDistance):
    """Mean over levels of the sliced Wasserstein distance, times 1000, of as many pictures of either set.

    Args:
        per_image: patches of each picture and level.
        directions: projections a level.
    """

    extractor: Extractor = Pixels()
    per_image: int = 128
    directions: int = 128

    def distance(self, features: Tensor, reference: Tensor) -> float:
        """From pixels: (N, C * R * R) and (M, C * R * R)."""
        count = min(len(features), len(reference))
        levels = swd_levels(_images(features[:count]), _images(reference[:count]), self.per_image, self.directions)
        return sum(levels) / len(levels)


def _images(pixels: Tensor) -> Tensor:
    grey = math.isqrt(pixels.shape[1]) ** 2 == pixels.shape[1]  # three times a square is no square
    channels = 1 if grey else 3
    side = math.isqrt(pixels.shape[1] // channels)
    return pixels.view(-1, channels, side, side)


@dataclass(frozen=True, kw_only=True)
class SampleSlicedWasserstein(SlicedWasserstein, OfSamples):
    """Samples of the prior."""


@dataclass(frozen=True, kw_only=True)
class RealSlicedWasserstein(SlicedWasserstein, OfOriginals):
    """The real pictures of ``split``: the floor."""


@dataclass(frozen=True, kw_only=True)
class ReconstructionSlicedWasserstein(SlicedWasserstein, OfReconstructions):
    """The reconstructions G(E(x)) of ``split``."""
