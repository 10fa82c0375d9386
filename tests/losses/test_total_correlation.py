"""The density-ratio trick against the closed form for Gaussians, and the permutation that it rests on."""

import math

import pytest
import torch
from torch import Tensor, nn

from aestyle.losses.adversarial import discriminator_loss
from aestyle.losses.total_correlation import permute_dims, total_correlation


@pytest.fixture(params=range(3), autouse=True)
def seed(request: pytest.FixtureRequest) -> None:
    torch.manual_seed(request.param)


def correlated(count: int, rho: float) -> Tensor:
    """Pairs of unit normals of this correlation (count, 2)."""
    x, y = torch.randn(2, count, dtype=torch.float64)
    return torch.stack([x, rho * x + math.sqrt(1 - rho**2) * y], dim=1)


def test_permutation_keeps_each_column() -> None:
    codes = torch.randn(int(torch.randint(1, 50, ())), int(torch.randint(1, 9, ())))
    kept = codes.clone()
    permuted = permute_dims(codes, torch.rand(codes.shape))
    assert torch.equal(permuted.sort(dim=0).values, codes.sort(dim=0).values)
    assert torch.equal(codes, kept)


def test_permutation_follows_the_ranks_of_its_numbers() -> None:
    codes = torch.randn(9, 4)
    ranks = torch.stack([torch.randperm(9) for _ in range(4)], dim=1)
    rows = [[codes[ranks[:, j] == i, j] for j in range(4)] for i in range(9)]
    assert torch.equal(permute_dims(codes, ranks / 9), torch.tensor(rows))


def test_permutation_breaks_dependence() -> None:
    x = torch.randn(20000, dtype=torch.float64)
    permuted = permute_dims(torch.stack([x, x, x.square()], dim=1), torch.rand(20000, 3))
    correlations = permuted.T.corrcoef() - torch.eye(3, dtype=torch.float64)
    assert float(correlations.abs().max()) < 5 / 20000**0.5


def test_every_permutation_is_as_likely() -> None:
    """The place that the first code's number goes to is uniform, in each dimension on its own."""
    places = torch.stack([permute_dims(torch.arange(5.0)[:, None].expand(5, 2), torch.rand(5, 2)) for _ in range(2000)])
    counts = torch.stack([(places[:, :, j] == 0).sum(dim=0) for j in range(2)])
    assert float((counts - 400).abs().max()) < 5 * math.sqrt(2000 * 0.2 * 0.8)
    together = (places[:, :, 0].argmin(dim=1) == places[:, :, 1].argmin(dim=1)).sum()
    assert abs(int(together) - 400) < 5 * math.sqrt(2000 * 0.2 * 0.8)


class QuadraticCritic(nn.Module):
    """Holds the best critic of Gaussians: the log ratio of two normal densities is a quadratic form."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(6, 1, dtype=torch.float64)

    def forward(self, codes: Tensor) -> Tensor:
        x, y = codes.T
        return self.linear(torch.stack([x, y, x * y, x.square(), y.square(), (x * y).square()], dim=1))


def train(critic: nn.Module, codes: Tensor) -> None:
    """Minimises the critic's loss to its optimum."""
    optimizer = torch.optim.LBFGS(critic.parameters(), max_iter=200, line_search_fn="strong_wolfe")
    permuted = permute_dims(codes, torch.rand(codes.shape))

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = discriminator_loss(critic(codes), (critic(permuted), 1.0))
        loss.backward()
        return loss

    optimizer.step(closure)  # type: ignore[arg-type]


@pytest.mark.parametrize("rho", [0.0, 0.5, -0.8])
def test_total_correlation_of_a_gaussian(rho: float) -> None:
    """``-1/2 log(1 - rho^2)`` for two normal variables (their mutual information)."""
    critic = QuadraticCritic()
    train(critic, correlated(20000, rho))
    estimate = float(total_correlation(critic(correlated(20000, rho))).detach())
    assert estimate == pytest.approx(-0.5 * math.log(1 - rho**2), abs=0.04)


def test_descent_lowers_the_dependence() -> None:
    """The gradient on the codes, through a trained critic, points to less correlation."""
    critic, codes = QuadraticCritic(), correlated(5000, 0.8)
    train(critic, codes)
    codes.requires_grad_()
    (gradient,) = torch.autograd.grad(total_correlation(critic(codes)), codes)
    moved = codes.detach() - 0.1 * len(codes) * gradient
    assert float(moved.T.corrcoef()[0, 1]) < float(codes.detach().T.corrcoef()[0, 1]) - 0.01
