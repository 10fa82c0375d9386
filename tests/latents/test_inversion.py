"""Inversion by optimisation: the schedules, and pictures of every model."""

import math
import random
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor

from aestyle.errors import NotOffered, UserError
from aestyle.latents.inversion import NVIDIA, Schedule, distance_losses, invert, squared_error, start_codes
from aestyle.latents.optimize import Optimized, optimize
from aestyle.latents.prior import mean_code, prior_codes, spread
from tests.latents.conftest import build

PLAIN = Schedule(steps=20, shrink_until=0.0)


@pytest.fixture(scope="module")
def overparam() -> Any:
    return build("method=overparam")


@pytest.fixture(params=["none", "w_plus", "overparam"])
def any_model(request: pytest.FixtureRequest, models: dict[str, Any], overparam: Any) -> Any:
    return overparam if request.param == "overparam" else models[request.param]


def run(model: Any, targets: Tensor, space: str, schedule: Schedule, start: str = "mean", **options: Any) -> Optimized:
    codes = start_codes(model, targets, space, start, position=options.get("position", 0))
    return invert(model, codes, distance_losses(targets, {"mse": (squared_error, 1.0)}), space, schedule, **options)


def test_own_pictures_are_approached_in_every_space(any_model: Any) -> None:
    targets = any_model.sample(2, seed=random.randrange(100))
    for space in any_model.spaces:
        curve = run(any_model, targets, space, PLAIN).curves["total"]
        assert tuple(curve.shape) == (21, 2)
        assert (curve.min(dim=0).values < curve[0]).all(), space


def test_codes_shrink_toward_the_mean_until_half_of_the_steps(overparam: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """After each shrink |w - mean| <= 0.9 (|w - mean| before + |Adam step|); later codes move by that step alone."""
    schedule, seen = Schedule(steps=random.randrange(6, 13)), []
    mean, decode = mean_code(overparam, "w_rows"), type(overparam).decode
    monkeypatch.setattr(
        type(overparam), "decode", lambda s, c, n=None: (seen.append(c.detach().clone()), decode(s, c, n))[1]
    )
    codes = start_codes(overparam, torch.zeros(2, 1), "w_rows", "random")
    targets = decode(overparam, start_codes(overparam, torch.zeros(2, 1), "w_rows", "random", seed=1), "w_rows")
    invert(overparam, codes, distance_losses(targets, {"mse": (squared_error, 1.0)}), "w_rows", schedule)
    assert len(seen) == schedule.steps + 1
    torch.testing.assert_close(seen[0], mean + 0.9 * (codes - mean))
    step = 4 * schedule.lr  # a step is at most (1 - beta1) / sqrt(1 - beta2) lr, and about lr mostly
    for i, (before, after) in enumerate(pairwise(seen), start=1):
        bound = (before - mean).abs() + step
        if i < schedule.steps / 2:
            assert ((after - mean).abs() <= 0.9 * bound).all()
        else:
            assert ((after - before).abs() <= step).all()
    assert [schedule.shrinks_at(i) for i in range(1000)].count(True) == math.ceil(schedule.steps / 2)


def test_shrinking_is_what_the_schedule_says_and_nothing_else(overparam: Any) -> None:
    """With a loss without gradient codes only shrink."""
    steps, shrink = random.randrange(4, 9), 0.5 + 0.4 * random.random()
    schedule = Schedule(steps=steps, shrink=shrink, shrink_until=0.75)
    codes = prior_codes(overparam, "w_rows", 2)
    done = invert(overparam, codes, {"none": lambda c, x: 0 * (c.flatten(1).sum(1))}, "w_rows", schedule)
    mean, times = mean_code(overparam, "w_rows"), math.ceil(0.75 * steps)
    torch.testing.assert_close(done.codes, mean + shrink**times * (codes - mean))


def test_a_batch_gives_the_codes_of_one_by_one(any_model: Any) -> None:
    targets = any_model.sample(3, seed=5)
    space = any_model.code_space
    schedule = Schedule(steps=6, noise=0.1)
    together = run(any_model, targets, space, schedule, "random")
    for i in range(3):
        alone = run(any_model, targets[i : i + 1], space, schedule, "random", position=i)
        torch.testing.assert_close(together.codes[i : i + 1], alone.codes, rtol=1e-6, atol=1e-8)


def test_starts(models: dict[str, Any], images: Tensor) -> None:
    model = models["w_plus"]
    assert torch.equal(start_codes(model, images, "w_plus", "encoder"), model.encode(images))
    torch.testing.assert_close(start_codes(model, images, "w", "mean"), mean_code(model, "w").repeat(len(images), 1))
    random_codes = start_codes(model, images, "w", "random", seed=3)
    assert torch.equal(random_codes, prior_codes(model, "w", len(images), 3))
    with pytest.raises(UserError, match="start=middle: choose one of mean, encoder, random"):
        start_codes(model, images, "w", "middle")
    with pytest.raises(UserError, match="none of this model's spaces"):
        start_codes(model, images, "v")
    with pytest.raises(NotOffered):
        start_codes(models["none"], images, "w", "encoder")


def test_schedule_of_nvidia() -> None:
    """Learning rate and noise of its projector, written out."""
    for step in range(0, 1000, 7):
        t = step / 1000
        ramp = 0.5 - 0.5 * math.cos(min(1.0, (1 - t) / 0.25) * math.pi)
        assert NVIDIA.lr_at(step) == pytest.approx(0.1 * ramp * min(1.0, t / 0.05))
        assert NVIDIA.noise_at(step) == pytest.approx(0.05 * max(0.0, 1 - t / 0.75) ** 2)
        assert not NVIDIA.shrinks_at(step)
    assert {Schedule().lr_at(step) for step in range(1000)} == {0.05}


def test_spread_is_that_of_single_styles(models: dict[str, Any]) -> None:
    codes = prior_codes(models["none"], "w", 4096)
    expected = (codes - codes.mean(dim=0)).square().sum(dim=1).mean().sqrt()
    for space in ("w", "w_plus"):
        assert spread(models["none"], space) == pytest.approx(float(expected))


def test_learning_rates_are_followed_step_by_step() -> None:
    """Adam's first steps have the length of the learning rate where the gradient keeps its sign."""
    rates = [0.1 * random.random() for _ in range(5)]
    losses = {"slope": lambda codes, images: codes.sum(dim=1)}
    done = optimize(torch.zeros(1, 3), lambda codes: codes, losses, 5, rates.__getitem__)
    torch.testing.assert_close(done.codes, torch.full((1, 3), -sum(rates)), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("options", [{"steps": 0}, {"lr": 0.0}, {"shrink": 1.1}, {"warmup": -0.1}, {"noise": -1.0}])
def test_impossible_schedules_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=next(iter(options))):
        Schedule(**options)
