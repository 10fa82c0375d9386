"""Inversion by optimisation: the schedules, and pictures of every model."""

import math
import random
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor

from aestyle.errors import NotOffered, UserError
from aestyle.latents.inversion import (
    NVIDIA,
    Schedule,
    Weighted,
    distance_losses,
    invert,
    invert_pictures,
    squared_error,
    start_codes,
)
from aestyle.latents.optimize import Optimized, best_of, join, optimize
from aestyle.latents.prior import mean_code, prior_codes, spread
from aestyle.latents.spaces import find_space
from aestyle.latents.tuning import PivotalTuning
from tests.latents.conftest import build

MSE = {"mse": Weighted(squared_error)}
PLAIN = Schedule(steps=20, shrink_until=0.0)


@pytest.fixture(scope="module")
def overparam() -> Any:
    return build("method=overparam")


@pytest.fixture(params=["none", "w_plus", "overparam"])
def any_model(request: pytest.FixtureRequest, models: dict[str, Any], overparam: Any) -> Any:
    return overparam if request.param == "overparam" else models[request.param]


def run(model: Any, targets: Tensor, space: str, schedule: Schedule, start: str = "mean", **options: Any) -> Optimized:
    codes = start_codes(model, targets, space, start, position=options.get("position", 0))
    return invert(model, codes, distance_losses(targets, MSE), space, schedule, **options)


def test_own_pictures_are_approached_in_every_space(any_model: Any) -> None:
    targets = any_model.sample(4, seed=random.randrange(100))
    for space in any_model.spaces:
        curve = run(any_model, targets, space, PLAIN).curves["total"]
        assert tuple(curve.shape) == (21, 4)
        assert curve.min(dim=0).values.sum() < 0.9 * curve[0].sum(), space  # one may be as near as it gets at the start


def test_codes_shrink_toward_the_mean_until_half_of_the_steps(overparam: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """After each shrink |w - mean| <= 0.9 (|w - mean| before + |Adam step|); later codes move by Adam's step alone."""
    schedule, decoded, steps = Schedule(steps=random.randrange(6, 13)), [], []
    mean, decode, step = mean_code(overparam, "w_rows"), type(overparam).decode, torch.optim.Adam.step

    def watched_decode(model: Any, codes: Tensor, space: str) -> Tensor:
        decoded.append(codes.detach().clone())
        return decode(model, codes, space)

    def watched_step(adam: torch.optim.Adam) -> None:
        (codes,) = adam.param_groups[0]["params"]
        before = codes.detach().clone()
        step(adam)
        steps.append(codes.detach() - before)

    codes = start_codes(overparam, torch.zeros(2, 1), "w_rows", "random")
    targets = decode(overparam, start_codes(overparam, torch.zeros(2, 1), "w_rows", "random", seed=1), "w_rows")
    monkeypatch.setattr(type(overparam), "decode", watched_decode)
    monkeypatch.setattr(torch.optim.Adam, "step", watched_step)
    invert(overparam, codes, distance_losses(targets, MSE), "w_rows", schedule)
    assert len(decoded) == len(steps) + 1 == schedule.steps + 1
    torch.testing.assert_close(decoded[0], mean + 0.9 * (codes - mean))
    for i, ((before, after), moved) in enumerate(zip(pairwise(decoded), steps, strict=True), start=1):
        if i < schedule.steps / 2:
            far, near, size = (x.flatten(1).norm(dim=1) for x in (before - mean, after - mean, moved))
            assert (near <= 0.9 * (far + size) + 1e-12).all()
            assert ((after - mean).abs() <= 0.9 * ((before - mean).abs() + moved.abs()) + 1e-12).all()
        else:
            torch.testing.assert_close(after, before + moved, rtol=0, atol=0)
    assert [schedule.shrinks_at(i) for i in range(1000)].count(True) == math.ceil(schedule.steps / 2)


@pytest.mark.slow
@pytest.mark.parametrize("which", ["none", "overparam"])
def test_own_pictures_are_recovered(which: str, models: dict[str, Any], overparam: Any) -> None:
    model = overparam if which == "overparam" else models[which]
    targets = model.sample(6, seed=random.randrange(100))
    schedule = Schedule(steps=300, shrink_until=0.0)
    curve = run(model, targets, model.code_space, schedule).curves["total"]
    assert (curve[-1] / curve[0]).median() < 0.05


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


# -- several starts, several batches ---------------------------------------------------------------------------------


def random_results(count: int) -> list[Optimized]:
    return [Optimized(torch.randn(3, 2), {name: torch.rand(5, 3) for name in ("mse", "total")}) for _ in range(count)]


def test_each_picture_keeps_its_best_try() -> None:
    tries = random_results(4)
    best = best_of(tries)
    for i in range(3):
        winner = min(tries, key=lambda each: float(each.curves["total"][-1, i]))
        assert torch.equal(best.codes[i], winner.codes[i])
        for name in ("mse", "total"):
            assert torch.equal(best.curves[name][:, i], winner.curves[name][:, i])
    lost = Optimized(tries[0].codes, {name: torch.full((5, 3), math.nan) for name in ("mse", "total")})
    assert torch.equal(best_of([lost, tries[1]]).codes, tries[1].codes)


def test_joined_parts_are_split_again() -> None:
    parts = random_results(3)
    for part, codes, curve in zip(
        parts, join(parts).codes.split(3), join(parts).curves["mse"].split(3, dim=1), strict=True
    ):
        assert torch.equal(part.codes, codes)
        assert torch.equal(part.curves["mse"], curve)


def test_more_starts_are_never_worse(overparam: Any) -> None:
    targets = overparam.sample(2, seed=random.randrange(100))
    ends = [
        invert_pictures(overparam, targets, MSE, "w_rows", "random", Schedule(steps=3), restarts).curves["total"][-1]
        for restarts in (1, 3)
    ]
    assert (ends[1] <= ends[0]).all()
    with pytest.raises(UserError, match="restarts=3: give 1, or more with start=random"):
        invert_pictures(overparam, targets, MSE, "w_rows", restarts=3)


def test_words_for_spaces(overparam: Any, models: dict[str, Any]) -> None:
    assert find_space(overparam, "matrix") == find_space(overparam, "code") == find_space(overparam) == "w_rows"
    assert find_space(overparam, "layer_matrices") == "w_rows_plus"
    assert find_space(models["none"], "w_plus") == "w_plus"
    with pytest.raises(UserError, match="space=matrix: this model has the spaces z, w, w_plus"):
        find_space(models["none"], "matrix")


# -- pivotal tuning --------------------------------------------------------------------------------------------------


def test_tuning_bends_a_copy_of_the_generator_and_nothing_else(any_model: Any) -> None:
    targets, space = torch.rand_like(any_model.sample(3)) * 2 - 1, any_model.code_space
    codes = prior_codes(any_model, space, 3)
    before = {name: value.clone() for name, value in any_model.state_dict().items()}
    tuned, curve = PivotalTuning(steps=5, lr=1e-3)(any_model, codes, targets, MSE, space, batch_size=2)
    assert tuple(curve.shape) == (5, 3)
    torch.testing.assert_close(curve[0, :2], squared_error(targets, any_model.decode(codes, space))[:2])
    assert squared_error(targets, tuned.decode(codes, space)).mean() < curve[0].mean()
    assert all(torch.equal(value, before[name]) for name, value in any_model.state_dict().items())
    changed = {name for name, value in tuned.state_dict().items() if not torch.equal(value, before[name])}
    assert changed
    assert all(name.startswith("ema.synthesis.") for name in changed)
    assert not any(parameter.requires_grad for parameter in tuned.parameters())
