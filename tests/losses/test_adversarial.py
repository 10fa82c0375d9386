import numpy as np
import pytest
import torch
from torch import Tensor

from aestyle.losses.adversarial import discriminator_loss, fake_loss, generator_loss, real_loss


@pytest.fixture(params=range(3), autouse=True)
def seed(request: pytest.FixtureRequest) -> None:
    torch.manual_seed(request.param)


def logits(scale: float = 3.0) -> Tensor:
    return torch.randn(int(torch.randint(1, 9, ())), 1, dtype=torch.float64) * scale


def softplus(x: Tensor) -> np.ndarray:
    return np.log1p(np.exp(x.numpy()))


def gradient(loss: Tensor, at: Tensor) -> Tensor:
    return torch.autograd.grad(loss, at)[0]


def test_losses_are_the_logistic_ones() -> None:
    real, fake, rec = logits(), logits(), logits()
    assert float(real_loss(real)) == pytest.approx(softplus(-real).mean())
    assert float(fake_loss(fake)) == pytest.approx(softplus(fake).mean())
    both = softplus(-real).mean() + softplus(fake).mean()
    assert float(discriminator_loss(real, (fake, 1.0))) == pytest.approx(both)
    fake_weight, rec_weight = torch.rand(2).tolist()
    expected = softplus(-real).mean() + fake_weight * softplus(fake).mean() + rec_weight * softplus(rec).mean()
    assert float(discriminator_loss(real, (fake, fake_weight), (rec, rec_weight))) == pytest.approx(expected)


def test_equation_5_splits_the_weight_of_the_negatives() -> None:
    """With the paper's weights, samples and reconstructions together weigh as much as the samples of Equation 1."""
    real, fake = logits(), logits()
    split = discriminator_loss(real, (fake, 0.9), (fake, 0.1))
    torch.testing.assert_close(split, discriminator_loss(real, (fake, 1.0)))


def test_losses_stay_finite_for_a_sure_discriminator() -> None:
    for value in (-1e4, 1e4):
        sure = torch.full((4, 1), value)
        for loss in (real_loss(sure), fake_loss(sure), generator_loss(sure, saturating=True)):
            assert torch.isfinite(loss)


@pytest.mark.parametrize("saturating", [False, True])
def test_generator_wants_higher_logits(saturating: bool) -> None:
    fake = logits().requires_grad_()
    assert bool((gradient(generator_loss(fake, saturating), fake) < 0).all())


def test_only_the_saturating_loss_fades_where_the_discriminator_is_sure() -> None:
    n = int(torch.randint(1, 9, ()))
    rejected = (-12 - 10 * torch.rand(n, 1, dtype=torch.float64)).requires_grad_()
    plain, saturating = (gradient(generator_loss(rejected, flag), rejected).abs() * n for flag in (False, True))
    torch.testing.assert_close(plain, torch.ones_like(plain), rtol=1e-4, atol=0)
    assert float(saturating.max()) < 1e-4


def test_discriminator_separates() -> None:
    real, fake, rec = (logits().requires_grad_() for _ in range(3))
    loss = discriminator_loss(real, (fake, 0.9), (rec, 0.1))
    at_real, at_fake, at_rec = torch.autograd.grad(loss, [real, fake, rec])
    assert bool((at_real < 0).all())
    assert bool((at_fake > 0).all())
    assert bool((at_rec > 0).all())
