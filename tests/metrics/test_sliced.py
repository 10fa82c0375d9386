"""The sliced Wasserstein distance against a slow one, and where its value is known."""

import math

import numpy as np
import pytest
import torch
from scipy.ndimage import convolve

from aestyle.errors import UserError
from aestyle.metrics.recipe import Subject
from aestyle.metrics.repeated import OverSeeds, ReconstructionRMSESpread
from aestyle.metrics.sliced import (
    RealSlicedWasserstein,
    SampleSlicedWasserstein,
    draw_patches,
    laplacian_pyramid,
    sliced_wasserstein,
    standardise,
    swd_levels,
)
from tests.metrics.latents import LinearModel


def slow_pyramid(image: np.ndarray) -> list[np.ndarray]:
    """Of one channel, by scipy."""
    row = np.array([1.0, 4, 6, 4, 1])
    kernel = np.outer(row, row) / 256
    levels = [image]
    while levels[-1].shape[0] // 2 >= 16:
        coarse = convolve(levels[-1], kernel, mode="mirror")[::2, ::2]
        sparse = np.zeros_like(levels[-1])
        sparse[::2, ::2] = coarse
        levels[-1] = levels[-1] - convolve(sparse, 4 * kernel, mode="mirror")
        levels.append(coarse)
    return levels


@pytest.mark.parametrize("side", [8, 16, 64])
def test_pyramid_equals_scipys(side: int) -> None:
    x = torch.randn(2, 3, side, side, dtype=torch.float64)
    found = laplacian_pyramid(x)
    assert [level.shape[-1] for level in found] == {8: [8], 16: [16], 64: [64, 32, 16]}[side]
    for i, image in enumerate(x.numpy()):
        for c, channel in enumerate(image):
            for level, expected in zip(found, slow_pyramid(channel), strict=True):
                np.testing.assert_allclose(level[i, c].numpy(), expected, atol=1e-12)


def test_patches_are_parts_of_their_image() -> None:
    """Each pixel says where it is, so that a patch is one run of numbers, and every place is drawn."""
    x = torch.arange(2 * 3 * 81.0).view(2, 3, 9, 9)
    patches = draw_patches(x, 50, torch.Generator().manual_seed(0))
    assert patches.shape == (100, 3, 7, 7)
    places = set()
    for i, patch in enumerate(patches):
        top, left = divmod(int(patch[0, 0, 0]) - 243 * (i // 50), 9)
        assert torch.equal(patch, x[i // 50, :, top : top + 7, left : left + 7])
        places.add((top, left))
    assert places == {(a, b) for a in range(3) for b in range(3)}


def test_standardised_patches() -> None:
    vectors = standardise(torch.randn(30, 2, 7, 7) * 5 + 3).view(30, 2, 49)
    assert torch.allclose(vectors.mean(dim=(0, 2)), torch.zeros(2), atol=1e-5)
    assert torch.allclose(vectors.std(dim=(0, 2), correction=0), torch.ones(2), atol=1e-5)


def test_distance_of_points_equals_a_loop_of_sorts() -> None:
    a, b, directions = torch.randn(40, 5), torch.randn(40, 5) * 2 + 1, torch.randn(37, 5)
    slow = np.mean(
        [
            np.abs(np.sort(a.numpy() @ d) - np.sort(b.numpy() @ d)).mean()
            for d in (directions / directions.norm(dim=1, keepdim=True)).numpy()
        ]
    )
    assert sliced_wasserstein(a, b, directions) == pytest.approx(slow, rel=1e-5)
    assert sliced_wasserstein(a, a[torch.randperm(40)], directions) < 1e-6


def test_moved_points_are_as_far_as_they_were_moved() -> None:
    """By s: ``E |s . d|`` over unit vectors d of the plane is ``2 |s| / pi``."""
    points = torch.randn(50, 2)
    angles = torch.arange(1000) / 1000 * math.pi
    directions = torch.stack([angles.cos(), angles.sin()], dim=1) * 3
    assert sliced_wasserstein(points, points + torch.tensor([3.0, 4.0]), directions) == pytest.approx(
        10 / math.pi, rel=1e-4
    )


def test_alike_pictures_are_near_and_other_ones_far() -> None:
    """Contrast and brightness are nothing."""
    smooth = torch.randn(80, 3, 8, 8).repeat_interleave(4, 2).repeat_interleave(4, 3)
    noise = torch.randn(40, 3, 32, 32)
    alike, other = (swd_levels(smooth[:40], images, 64, 32) for images in (smooth[40:], noise))
    assert len(alike) == len(other) == 2
    assert sum(alike) < sum(other)
    assert sum(swd_levels(noise, noise * 0.5 + 0.2, 64, 32)) < sum(other)


def test_pictures_below_8_px_are_refused() -> None:
    with pytest.raises(UserError, match="at least 8 px, not 4"):
        swd_levels(torch.randn(2, 1, 4, 4), torch.randn(2, 1, 4, 4))


def test_recipes(data) -> None:
    subject = Subject(LinearModel(), data)
    recipe = SampleSlicedWasserstein(name="swd", num_images=20, reference_images=20, per_image=4, directions=8)
    seeds = [SampleSlicedWasserstein(**{**vars(recipe), "seed": seed})(subject).value for seed in range(3)]
    for statistic, value in {"mean": np.mean(seeds), "std": np.std(seeds)}.items():
        found = OverSeeds(name="x", of=recipe, repeats=3, statistic=statistic)(subject)
        assert (found.metric, found.value, found.num_images) == ("x", pytest.approx(value), 20)
    real = RealSlicedWasserstein(name="real", split="train", per_image=4, directions=8)(subject)
    assert real.value < recipe(subject).value
    assert real.extractor == "pixels"


def test_spread_of_the_rmse(data, originals, make_model) -> None:
    subject = Subject(make_model(lambda x: 1.5 * x), data)
    errors = [127.5 * float((originals[i::3] / 2).square().mean().sqrt()) for i in range(3)]
    found = ReconstructionRMSESpread(name="std", scale=127.5, parts=3)(subject)
    assert found.value == pytest.approx(np.std(errors), rel=1e-4)


def test_a_metric_without_seed_has_no_batches_of_samples() -> None:
    with pytest.raises(UserError, match="x: rmse draws no samples"):
        OverSeeds(name="x", of=ReconstructionRMSESpread(name="rmse"))
    with pytest.raises(UserError, match="statistic=median: choose one of mean, std"):
        OverSeeds(name="x", of=SampleSlicedWasserstein(name="swd", num_images=2), statistic="median")
