import math

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import gradcheck

from aestyle.losses.regularizers import path_lengths, r1_penalty, running_mean


@pytest.fixture(params=range(3), autouse=True)
def seed(request: pytest.FixtureRequest) -> None:
    torch.manual_seed(request.param)


def normal(*shape: int) -> Tensor:
    return torch.randn(shape, dtype=torch.float64)


def integer(low: int, high: int) -> int:
    return int(torch.randint(low, high + 1, ()))


def test_r1_of_a_linear_discriminator_is_the_squared_norm_of_its_weight() -> None:
    n, c, h, w = (integer(1, 5) for _ in range(4))
    weight = normal(c * h * w).requires_grad_()
    penalty = r1_penalty(lambda x: x.flatten(1) @ weight + 3.0, normal(n, c, h, w))
    torch.testing.assert_close(penalty, weight.square().sum())
    (gradient,) = torch.autograd.grad(penalty, weight)
    torch.testing.assert_close(gradient, 2 * weight)


def test_r1_is_a_mean_of_squared_norms_over_samples() -> None:
    n = integer(2, 5)
    real = normal(n, 2, 3, 3)
    penalty = r1_penalty(lambda x: x.square().sum(dim=(1, 2, 3)) / 2, real)  # its gradient is x
    torch.testing.assert_close(penalty, real.square().sum() / n)


def test_r1_derivatives() -> None:
    real = normal(2, 1, 3, 3)

    def penalty(weight: Tensor, bias: Tensor) -> Tensor:
        return r1_penalty(lambda x: nn.functional.softplus(nn.functional.conv2d(x, weight, bias)).sum(1), real)

    assert gradcheck(penalty, [normal(2, 1, 2, 2).requires_grad_(), normal(2).requires_grad_()])


def test_r1_leaves_the_images_alone() -> None:
    real = normal(2, 1, 2, 2)
    kept = real.clone()
    r1_penalty(lambda x: x.sum(dim=(1, 2, 3)), real)
    assert not real.requires_grad
    assert torch.equal(real, kept)


def test_path_lengths_of_a_linear_generator() -> None:
    """For images = A w the projection's gradient is A^T y: its length is known without differentiating."""
    n, layers, dim, c, h, w = (integer(1, 4) for _ in range(6))
    matrix = normal(c * h * w, layers, dim)
    ws, direction = normal(n, layers, dim).requires_grad_(), normal(n, c, h, w)
    images = torch.einsum("nld,pld->np", ws, matrix).view(n, c, h, w)
    projected = torch.einsum("np,pld->nld", direction.flatten(1), matrix) / math.sqrt(h * w)
    expected = (projected.square().sum(dim=(1, 2)) / layers).sqrt()
    torch.testing.assert_close(path_lengths(images, ws, direction), expected)


def test_path_lengths_derivatives() -> None:
    ws, direction = normal(2, 2, 2), normal(2, 1, 2, 2)

    def lengths(matrix: Tensor) -> Tensor:
        styles = ws.clone().requires_grad_()
        return path_lengths((styles.flatten(1) @ matrix).tanh().view(2, 1, 2, 2), styles, direction)

    assert gradcheck(lengths, [normal(4, 4).requires_grad_()])


def test_running_mean_has_a_closed_form() -> None:
    """After k steps toward a constant, (1 - decay)^k of the distance is left."""
    target, start, decay, steps = normal(), normal(), float(torch.rand(())), integer(1, 20)
    mean = start
    for _ in range(steps):
        mean = running_mean(target, mean, decay)
    torch.testing.assert_close(mean, target + (start - target) * (1 - decay) ** steps)


def test_running_mean_passes_the_gradient_of_the_value() -> None:
    value = normal().requires_grad_()
    (gradient,) = torch.autograd.grad(running_mean(value, normal(), 0.01), value)
    assert float(gradient) == pytest.approx(0.01)
