"""Divergences from and to N(0, I), against PyTorch's own."""

import torch
from torch.distributions import Independent, Normal, kl_divergence
from torch.nn import functional as F

from aestyle.losses.gaussian import kl_from_prior, kl_to_prior, printed_kld


def test_divergences_are_those_of_pytorch() -> None:
    mean, variance = torch.randn(6, 4, dtype=torch.float64), torch.rand(6, 4, dtype=torch.float64) * 3 + 0.01
    codes = Independent(Normal(mean, variance.sqrt()), 1)
    prior = Independent(Normal(torch.zeros_like(mean), torch.ones_like(mean)), 1)
    torch.testing.assert_close(kl_to_prior(mean, variance), kl_divergence(codes, prior))
    torch.testing.assert_close(kl_from_prior(mean, variance), kl_divergence(prior, codes))


def test_a_code_without_any_variance_leaves_the_gradient_finite() -> None:
    for divergence in (kl_to_prior, kl_from_prior):
        sigma = torch.zeros(3, 2, requires_grad=True)
        divergence(torch.ones(3, 2), sigma.square()).sum().backward()
        assert sigma.grad is not None
        assert sigma.grad.isfinite().all()


def test_printed_term_is_pytorch_s_own_where_that_is_a_number() -> None:
    codes, prior = torch.randn(7, 5), torch.randn(7, 5)
    literal = F.kl_div(codes.log_softmax(dim=1), prior, reduction="none")
    assert literal.isnan().any()  # the target is not a distribution: what the authors' code gives today
    torch.testing.assert_close(printed_kld(codes, prior), literal[prior > 0].sum() / literal.numel())
    codes.requires_grad_()
    printed_kld(codes, prior).backward()
    assert codes.grad is not None
    assert codes.grad.isfinite().all()
