"""WGAN-GP's losses where their values are known."""

import torch

from aestyle.losses.wasserstein import critic_loss, gradient_penalty


def test_critic_loss() -> None:
    real, fake = torch.randn(5, 1), torch.randn(7, 1)
    assert torch.isclose(critic_loss(real, fake), fake.mean() - real.mean())


def test_penalty_of_a_linear_critic_is_that_of_its_weight() -> None:
    weight = torch.randn(3 * 4 * 4, 1, dtype=torch.float64, requires_grad=True)
    real, fake = torch.randn(2, 6, 3, 4, 4, dtype=torch.float64)
    penalty = gradient_penalty(lambda x: x.flatten(1) @ weight, real, fake, torch.rand(6, dtype=torch.float64))
    assert torch.isclose(penalty, (weight.norm() - 1).square())
    (found,) = torch.autograd.grad(penalty, weight)
    torch.testing.assert_close(found, (2 * (weight.norm() - 1) * weight / weight.norm()).detach())


def test_penalty_looks_between_the_images() -> None:
    """Of ``sum x^2 / 2`` the gradient is the place itself."""
    real, fake, share = *torch.randn(2, 6, 1, 3, 3, dtype=torch.float64), torch.rand(6, dtype=torch.float64)
    place = share.view(6, 1, 1, 1) * real + (1 - share).view(6, 1, 1, 1) * fake
    expected = (place.flatten(1).norm(dim=1) - 1).square().mean()
    found = gradient_penalty(lambda x: x.square().sum(dim=(1, 2, 3)) / 2, real, fake.requires_grad_(), share)
    assert torch.isclose(found, expected)
    assert found.grad_fn is None or torch.autograd.grad(found, fake, allow_unused=True)[0] is None
