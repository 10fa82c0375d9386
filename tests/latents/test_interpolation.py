"""Ways between codes against their formulas."""

import math
import random
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from aestyle.errors import UserError
from aestyle.latents.interpolation import (
    INTERPOLATIONS,
    between_corners,
    choose_pairs,
    interpolate,
    lerp,
    path_lengths,
    slerp,
)
from aestyle.latents.inversion import squared_error
from aestyle.latents.prior import prior_codes

WAYS = sorted(INTERPOLATIONS)


def pair(*shape: int) -> Tensor:
    return torch.randn(2, *shape, dtype=torch.float64) * random.choice([1e-3, 1, 1e3])


def test_slerp_is_its_formula() -> None:
    for _ in range(20):
        a, b = pair(random.randrange(2, 9))
        t = random.random()
        x, y = a.numpy(), b.numpy()
        omega = math.acos(x @ y / np.linalg.norm(x) / np.linalg.norm(y))
        expected = (math.sin((1 - t) * omega) * x + math.sin(t * omega) * y) / math.sin(omega)
        np.testing.assert_allclose(slerp(a, b, t).numpy(), expected, rtol=1e-7, atol=1e-9 * np.abs(x).max())


def test_slerp_keeps_the_length_and_turns_evenly() -> None:
    for _ in range(20):
        a, b = pair(3, random.randrange(2, 9))
        b = b * a.norm(dim=-1, keepdim=True) / b.norm(dim=-1, keepdim=True)
        t = random.random()
        way = slerp(a, b, t)
        torch.testing.assert_close(way.norm(dim=-1), a.norm(dim=-1))
        whole, part = (torch.cosine_similarity(a, end, dim=-1).acos() for end in (b, way))
        torch.testing.assert_close(part, t * whole, rtol=1e-6, atol=1e-6)


def test_layers_are_interpolated_one_by_one() -> None:
    a, b = pair(2, 4, 6)
    way = slerp(a, b, 0.3)
    for layer in range(4):
        torch.testing.assert_close(way[:, layer], slerp(a[:, layer], b[:, layer], 0.3))


@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_ends_are_exact(how: str, dtype: torch.dtype) -> None:
    a, b = torch.randn(2, 50, 7, dtype=dtype)
    b[1], b[2], b[3], a[4] = a[1], -a[2], 0, 0
    for t, end in ((0, a), (1, b)):
        assert torch.equal(INTERPOLATIONS[how](a, b, t), end)


def test_degenerate_ways_of_slerp() -> None:
    a = torch.randn(5, dtype=torch.float64)
    zero = torch.zeros_like(a)
    for t in torch.rand(5).tolist():
        torch.testing.assert_close(slerp(a, a, t), a)
        torch.testing.assert_close(slerp(a, 3 * a, t), lerp(a, 3 * a, t))
        torch.testing.assert_close(slerp(a, zero, t), (1 - t) * a)
        torch.testing.assert_close(slerp(zero, a, t), t * a)
        assert torch.equal(slerp(zero, zero, t), zero)
        opposite = slerp(a, -a, t)
        torch.testing.assert_close(opposite.norm(), a.norm())
        angle = torch.cosine_similarity(a, opposite, dim=0).acos()
        torch.testing.assert_close(angle.item(), t * math.pi, rtol=1e-6, atol=1e-6)


def test_slerp_is_continuous_around_opposite_vectors() -> None:
    a = torch.nn.functional.normalize(torch.randn(6, dtype=torch.float64), dim=0)
    for size in (1e-2, 1e-3, 1e-5, 1e-9):
        b = torch.nn.functional.normalize(-a + size * torch.randn(6, dtype=torch.float64), dim=0)
        way = torch.stack([slerp(a, b, t) for t in torch.linspace(0, 1, 101).tolist()])
        assert way.isfinite().all()
        assert way.diff(dim=0).norm(dim=1).max() < 0.04  # pi / 100 a step


@pytest.mark.parametrize("how", WAYS)
def test_a_path_goes_through_its_codes(how: str) -> None:
    k, steps = random.randrange(2, 6), random.randrange(1, 6)
    codes = torch.randn(k, 3, 4)
    path = interpolate(codes, steps, how)
    assert torch.equal(path[::steps], codes)
    assert len(path) == (k - 1) * steps + 1
    circle = interpolate(codes, steps, how, closed=True)
    assert len(circle) == k * steps
    assert torch.equal(circle[: len(path)], path)
    back = INTERPOLATIONS[how](codes[-1], codes[0], 1 / steps)
    assert torch.equal(torch.cat([circle, circle[:1]])[len(path)], back)
    expected = INTERPOLATIONS[how](codes[0], codes[1], 1 / steps)
    assert torch.equal(path[1], expected)


@pytest.mark.parametrize(("codes", "steps", "how"), [(1, 3, "lerp"), (2, 0, "lerp"), (2, 3, "nope")])
def test_no_way(codes: int, steps: int, how: str) -> None:
    with pytest.raises(UserError):
        interpolate(torch.zeros(codes, 2), steps, how)


# -- lengths of ways -------------------------------------------------------------------------------------------------


def test_pairs() -> None:
    assert choose_pairs(4) == [(0, 1), (1, 2), (2, 3)]
    assert choose_pairs(3, "all") == [(0, 1), (0, 2), (1, 2)]
    with pytest.raises(UserError, match="pairs=some: choose one of neighbours, all"):
        choose_pairs(3, "some")


@pytest.mark.parametrize("how", ["lerp", "slerp"])
def test_length_of_a_way_is_the_sum_of_its_segments(model: Any, how: str) -> None:
    codes = prior_codes(model, "w", 3, seed=random.randrange(100))
    pairs, segments = [(0, 1), (2, 0)], random.randint(1, 6)
    found = path_lengths(model, codes, pairs, squared_error, "w", segments, how, batch_size=2)
    for (a, b), length in zip(pairs, found, strict=True):
        ts = [i / segments for i in range(segments + 1)]
        frames = [model.decode(INTERPOLATIONS[how](codes[[a]], codes[[b]], t), "w") for t in ts]
        expected = sum(float((x - y).square().mean()) for x, y in pairwise(frames))
        assert float(length) == pytest.approx(expected)


# -- squares ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", WAYS)
def test_a_square_goes_down_its_edges_and_then_across(how: str) -> None:
    """Corners are exact, which makes the corners of a grid of pictures the four reconstructions."""
    corners = torch.randn(4, 5, dtype=torch.float64)
    side = random.randrange(3, 9)
    found = between_corners(corners, side, how)
    assert found.shape == (side, side, 5)
    assert torch.equal(found[[0, 0, -1, -1], [0, -1, 0, -1]], corners)
    row, column = random.randrange(side), random.randrange(side)
    way = INTERPOLATIONS[how]
    left, right = (way(corners[i], corners[i + 2], row / (side - 1)) for i in (0, 1))
    torch.testing.assert_close(found[row, column], way(left, right, column / (side - 1)))


def test_a_square_needs_four_corners() -> None:
    with pytest.raises(UserError, match="4 corners, not 3"):
        between_corners(torch.randn(3, 5), 8)
