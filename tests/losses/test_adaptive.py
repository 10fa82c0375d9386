import numpy as np
import pytest
import torch
from torch import Tensor

from aestyle.losses.adaptive import adaptive_weight


@pytest.fixture(params=range(3), autouse=True)
def seed(request: pytest.FixtureRequest) -> None:
    torch.manual_seed(request.param)


def gradients(scale: float = 1.0) -> list[Tensor]:
    return [torch.randn(shape, dtype=torch.float64) * scale for shape in [(3, 5, 1, 1), (5, 4, 3, 3)]]


def norm(tensors: list[Tensor]) -> float:
    return float(np.linalg.norm(np.concatenate([t.detach().numpy().ravel() for t in tensors])))


def test_weight_is_the_ratio_of_joint_norms() -> None:
    rec, adv, eps = gradients(), gradients(), float(torch.rand(()))
    assert float(adaptive_weight(rec, adv, eps)) == pytest.approx(norm(rec) / (norm(adv) + eps))


def test_defaults_are_those_of_the_reference_code() -> None:
    rec, adv = gradients(), gradients(1e-5)
    assert float(adaptive_weight(rec, adv)) == pytest.approx(min(norm(rec) / (norm(adv) + 1e-4), 1e4))
    assert float(adaptive_weight(gradients(1e6), gradients(1e-9))) == 1e4


def test_weight_is_clamped_and_finite_without_a_gradient() -> None:
    maximum = float(torch.rand(())) * 100
    nothing = [torch.zeros_like(g) for g in gradients()]
    assert float(adaptive_weight(gradients(1e3), nothing, maximum=maximum)) == pytest.approx(maximum)
    assert float(adaptive_weight(nothing, gradients())) == 0.0
    assert float(adaptive_weight(nothing, nothing)) == 0.0


def test_a_factor_on_the_adversarial_loss_cancels() -> None:
    rec, adv, factor = gradients(), gradients(), 10 ** float(torch.rand(()) * 4 - 2)
    scaled = adaptive_weight(rec, [factor * g for g in adv], eps=0.0) * factor
    torch.testing.assert_close(scaled, adaptive_weight(rec, adv, eps=0.0))


def test_weight_carries_no_graph() -> None:
    rec, adv = ([g.requires_grad_() for g in gradients()] for _ in range(2))
    assert not adaptive_weight(rec, adv).requires_grad
