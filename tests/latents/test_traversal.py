"""Walks from codes, and the truncation trick."""

import random
from typing import Any

import pytest
import torch
from torch import Tensor

from aestyle.errors import UserError
from aestyle.latents.batches import decode_all
from aestyle.latents.prior import mean_code, prior_codes
from aestyle.latents.spaces import Space
from aestyle.latents.traversal import axis_direction, only_layers, standard_step, traverse, truncate, widest_dimensions


def test_a_walk_begins_at_the_reconstruction(model: Any, images: Tensor) -> None:
    codes = model.encode(images)
    prior = prior_codes(model, n=64)
    direction = torch.randn(codes.shape[1:], dtype=torch.float64)
    walks = traverse(codes, standard_step(direction, prior), [-2, 0, 1.5])
    assert torch.equal(walks[:, 1], codes)
    torch.testing.assert_close(decode_all(model, walks)[:, 1], model.decode(codes))
    moved = (walks[:, 2] - walks[:, 0]).flatten(1)
    torch.testing.assert_close(torch.cosine_similarity(moved, direction.flatten()[None]).cpu(), torch.ones(3).double())


def test_a_step_is_one_standard_deviation() -> None:
    for shape in ((6,), (4, 6)):
        codes = torch.randn(500, *shape, dtype=torch.float64) @ torch.randn(6, 6, dtype=torch.float64)
        direction = torch.randn(shape, dtype=torch.float64) * 7
        unit = direction / direction.norm()
        step = standard_step(direction, codes)
        torch.testing.assert_close(step, unit * (codes * unit).flatten(1).sum(1).std())
        torch.testing.assert_close(standard_step(3 * direction, codes), step)


def test_one_dimension_of_equal_layers_moves_by_its_own_deviation() -> None:
    """Codes of the prior are the same in every layer, so that a walk in w_plus is that in w."""
    w = torch.randn(200, 5, dtype=torch.float64)
    at = random.randrange(5)
    step = standard_step(
        axis_direction(Space("w_plus", (3, 5), per_layer=True), at).double(), w[:, None].expand(-1, 3, -1)
    )
    expected = torch.zeros(3, 5, dtype=torch.float64)
    expected[:, at] = w[:, at].std()
    torch.testing.assert_close(step, expected)


def test_directions_of_axes() -> None:
    space = Space("w_plus", (4, 6), per_layer=True)
    direction = axis_direction(space, 5, "1-2")
    assert direction.nonzero().tolist() == [[1, 5], [2, 5]]
    assert torch.equal(only_layers(torch.ones(4, 6), space, [3]), torch.tensor([0, 0, 0, 1.0])[:, None].expand(4, 6))
    assert axis_direction(Space("w", (6,)), 2).nonzero().tolist() == [[2]]
    for dimension in (-1, 6):
        with pytest.raises(UserError, match="0 to 5"):
            axis_direction(space, dimension)


def test_directions_that_lead_nowhere() -> None:
    with pytest.raises(UserError, match="zero"):
        standard_step(torch.zeros(4), torch.randn(9, 4))
    with pytest.raises(UserError, match="shape"):
        standard_step(torch.ones(5), torch.randn(9, 4))


def test_the_widest_dimensions() -> None:
    order = torch.randperm(7)
    codes = torch.randn(400, 3, 7) * torch.logspace(0, 4, 7)[order]
    assert widest_dimensions(codes, 4) == order.argsort(descending=True)[:4].tolist()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_truncation_ends(dtype: torch.dtype) -> None:
    codes, mean = torch.randn(5, 3, 4, dtype=dtype) * 100, torch.randn(1, 3, 4, dtype=dtype)
    psi = random.random()
    cut = truncate(codes, mean, [0, psi, 1])
    assert torch.equal(cut[:, 0], mean.expand_as(codes))
    assert torch.equal(cut[:, 2], codes)
    torch.testing.assert_close(cut[:, 1], mean + psi * (codes - mean))


def test_truncation_of_a_model(model: Any, images: Tensor) -> None:
    codes, mean = model.encode(images), mean_code(model, n=100)
    cut = truncate(codes, mean, [0, 1])
    assert torch.equal(model.decode(cut[:, 1]), model.decode(codes))
    at_mean = model.decode(cut[:, 0])
    torch.testing.assert_close(at_mean, model.decode(mean).expand_as(at_mean))


def test_codes_of_the_prior_decode_to_samples(model: Any) -> None:
    n, seed = random.randrange(1, 5), random.randrange(100)
    for space in model.spaces:
        torch.testing.assert_close(model.decode(prior_codes(model, space, n, seed), space), model.sample(n, seed))
    torch.testing.assert_close(mean_code(model, "w", 50), prior_codes(model, "w", 50).mean(0, keepdim=True))
