"""The optimiser of codes."""

import random
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from aestyle.errors import UserError
from aestyle.latents.optimize import InDomainLoss, Optimized, optimize, refine
from tests.tiny import differences

WEIGHTS = InDomainLoss(pixel=1.0, perceptual=0.5, domain=0.1)


def perceptual(x: Tensor, rec: Tensor) -> Tensor:
    """A stand-in in double precision; like all of them, a mean over the batch."""
    return (avg_pool2d(x, 2) - avg_pool2d(rec, 2)).abs().mean()


def run(model: Any, images: Tensor, steps: int = 12, **options: Any) -> Optimized:
    return refine(model, images, perceptual, WEIGHTS, steps=steps, **options)


def loss(model: Any, x: Tensor, code: Tensor) -> float:
    """Of one picture, written out."""
    rec = model.decode(code)
    domain = (code - model.encode(rec)).square().mean()
    return float((x - rec).square().mean() + 0.5 * perceptual(x, rec) + 0.1 * domain)


def test_the_loss_falls_for_every_picture(model: Any, images: Tensor) -> None:
    done = run(model, images)
    start = model.encode(images)
    for i in range(len(images)):
        each = slice(i, i + 1)
        assert loss(model, images[each], done.codes[each]) < loss(model, images[each], start[each])


def test_a_batch_gives_the_codes_of_one_by_one(model: Any, images: Tensor) -> None:
    together = run(model, images)
    for i in range(len(images)):
        alone = run(model, images[i : i + 1])
        torch.testing.assert_close(together.codes[i : i + 1], alone.codes, rtol=1e-7, atol=1e-9)
        for name in ("pixel", "domain"):
            torch.testing.assert_close(together.curves[name][:, i], alone.curves[name][:, 0], rtol=1e-6, atol=1e-9)


def test_curves_begin_at_the_encoder_and_end_at_the_result(model: Any, images: Tensor) -> None:
    steps = random.randrange(1, 5)
    seen: list[int] = []
    done = run(model, images, steps, progress=seen.append)
    assert seen == list(range(1, steps + 1))
    assert {name: tuple(curve.shape) for name, curve in done.curves.items()} == dict.fromkeys(
        ("pixel", "perceptual", "domain", "total"), (steps + 1, len(images))
    )
    for row, codes in ((0, model.encode(images)), (-1, done.codes)):
        expected = (images - model.decode(codes)).square().mean(dim=(1, 2, 3))
        torch.testing.assert_close(done.curves["pixel"][row], expected)
        total = sum(loss(model, images[i : i + 1], codes[i : i + 1]) for i in range(len(images)))
        assert done.curves["total"][row].sum().item() == pytest.approx(total)


@pytest.mark.parametrize("trainable", [True, False])
def test_the_model_stays_as_it_was(model: Any, images: Tensor, trainable: bool) -> None:
    model.requires_grad_(trainable)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    flags = [p.requires_grad for p in model.parameters()]
    random_state = torch.get_rng_state()
    try:
        with torch.no_grad():  # a caller's no_grad must not stop it
            done = run(model, images, steps=2)
        assert not differences(before, dict(model.state_dict()))
        assert [p.requires_grad for p in model.parameters()] == flags
        assert all(p.grad is None for p in model.parameters())
        assert not done.codes.requires_grad
        assert torch.equal(torch.get_rng_state(), random_state)
    finally:
        model.requires_grad_(False)


def test_a_wider_space_serves_as_well(models: Any, images: Tensor) -> None:
    model = models["w"]
    done = run(model, images, steps=8, space="w_plus")
    assert done.codes.shape == (len(images), *model.spaces["w_plus"].shape)
    assert (done.codes.std(dim=1) > 0).any()  # its layers have gone different ways
    assert (done.curves["total"][-1] < done.curves["total"][0]).all()


def test_terms_without_weight_are_left_out(model: Any, images: Tensor) -> None:
    done = refine(model, images, None, InDomainLoss(domain=0), steps=1)
    assert set(done.curves) == {"pixel", "total"}
    with pytest.raises(UserError, match="domain=-1"):
        InDomainLoss(domain=-1)


def test_no_encoder(models: Any, images: Tensor) -> None:
    with pytest.raises(UserError, match="no encoder"):
        refine(models["none"], images, None)


def test_the_optimiser_is_adam() -> None:
    """Against torch's Adam on the mean: Adam does not see the scale of a gradient, nor other pictures."""
    start, targets = torch.randn(2, 3, 4, dtype=torch.float64)
    done = optimize(start, lambda code: code, {"mse": lambda code, _: (code - targets).pow(4).sum(1)}, 20, 0.05)
    for i in range(3):
        code = start[i].clone().requires_grad_()
        adam = torch.optim.Adam([code], lr=0.05)
        for _ in range(20):
            adam.zero_grad()
            (code - targets[i]).pow(4).sum().backward()
            adam.step()
        torch.testing.assert_close(done.codes[i], code.detach())
