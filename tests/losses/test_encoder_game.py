import math

import pytest
import torch
from torch.distributions import Normal, kl_divergence
from torch.nn.functional import normalize

from aestyle.losses.encoder_game import code_mismatch, historical_moment_kl, moment_kl, sphere_kl_floor

FLOORS = {512: 2.620, 128: 1.930, 64: 1.587}


def moments(codes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return codes.mean(dim=0), codes.var(dim=0, unbiased=False)


def test_divergence_is_that_of_gaussians() -> None:
    mean, sigma = torch.randn(30).double(), torch.rand(30).double() + 0.1
    expected = kl_divergence(Normal(mean, sigma), Normal(torch.zeros(30).double(), torch.ones(30).double())).mean()
    assert moment_kl(mean, sigma**2).item() == pytest.approx(expected.item(), rel=1e-6)
    assert historical_moment_kl(mean, sigma).item() == pytest.approx(
        expected.item(), rel=1e-6
    )  # takes sigma for sigma^2


@pytest.mark.parametrize("dim", FLOORS)
def test_floor_on_the_sphere(dim: int) -> None:
    """No batch is below it; many uniform codes are close to it; it has the values of the fact sheet."""
    assert sphere_kl_floor(dim) == pytest.approx(FLOORS[dim], abs=5e-4)
    for scale in (0.1, 1.0, 10.0):
        codes = normalize(torch.randn(40, dim).double() * torch.linspace(0.2, scale, dim).double() + 0.3, dim=1)
        mean, variance = moments(codes)
        assert float((variance + mean.square()).sum()) == pytest.approx(1, abs=1e-9)
        assert moment_kl(mean, variance) >= sphere_kl_floor(dim)
    assert moment_kl(*moments(normalize(torch.randn(5_000, dim).double(), dim=1))) < sphere_kl_floor(dim) + 1e-3


def test_collapsed_codes_have_a_finite_divergence_and_gradient() -> None:
    codes = normalize(torch.ones(5, 8), dim=1).requires_grad_()
    loss = moment_kl(*moments(codes))
    loss.backward()
    assert math.isfinite(loss.item())
    assert codes.grad is not None
    assert codes.grad.isfinite().all()


def test_mismatch_falls_with_the_cosine() -> None:
    z, codes = (normalize(torch.randn(6, 12).double(), dim=1) for _ in range(2))
    cosine = (z * codes).sum(dim=1).mean().item()
    assert code_mismatch(z, codes).item() == pytest.approx(2 - cosine / 12)
    assert code_mismatch(z, z) < code_mismatch(z, codes)
