import copy
import pickle

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from aestyle.metrics.efflite0 import efflite0
from aestyle.metrics.perceptual import EffLite0Distance, EffLite0Maps, PerceptualLoss


def images(*shape: int) -> Tensor:
    return torch.rand(shape) * 2 - 1


@pytest.mark.parametrize("x", [images(2, 1, 16, 16), torch.zeros(1, 3, 16, 16), -torch.ones(1, 1, 16, 16)])
def test_equal_images_have_zero_loss_and_zero_gradient(x: Tensor) -> None:
    x_hat = x.clone().requires_grad_()
    loss = PerceptualLoss()(x, x_hat)
    loss.backward()
    assert loss == 0
    assert torch.equal(x_hat.grad, torch.zeros_like(x))


def test_dead_features_have_a_finite_gradient() -> None:
    """Where every channel is zero the length has no derivative; eps gives it one."""
    network = copy.deepcopy(efflite0("cpu"))
    network.blocks[0] = nn.ReLU()
    network.stem = nn.Conv2d(3, 3, 1)
    nn.init.zeros_(network.stem.weight)
    nn.init.zeros_(network.stem.bias)
    x_hat = images(1, 1, 8, 8).requires_grad_()
    PerceptualLoss(taps=[0], network=network)(images(1, 1, 8, 8), x_hat).backward()
    assert x_hat.grad.isfinite().all()


def test_gradient_equals_finite_differences() -> None:
    loss = PerceptualLoss(taps=[0, 2], network=copy.deepcopy(efflite0("cpu")).double())
    x, x_hat = images(1, 1, 8, 8).double(), images(1, 1, 8, 8).double().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(x, x_hat), x_hat)
    for _ in range(4):
        direction, step = torch.randn_like(x), 1e-6
        difference = (loss(x, x_hat + step * direction) - loss(x, x_hat - step * direction)) / (2 * step)
        torch.testing.assert_close((gradient * direction).sum(), difference, rtol=1e-4, atol=1e-7)


def test_is_the_sum_over_taps_of_unit_length_differences() -> None:
    x, x_hat, network = images(3, 3, 24, 24), images(3, 3, 24, 24), efflite0("cpu")
    expected = 0.0
    for tap in (1, 5):
        f, g = (nn.functional.normalize(network.maps(y, [tap], min_size=32)[0], dim=1) for y in (x, x_hat))
        expected += (f - g).pow(2).mean(dim=(0, 2, 3)).sum()
    torch.testing.assert_close(PerceptualLoss(taps=[1, 5], min_size=32)(x, x_hat), expected, rtol=1e-4, atol=1e-5)


def test_a_shift_is_nearer_than_a_blur() -> None:
    """What the mean squared error gets wrong on faces."""
    from aestyle.data.sources import OrlFaces
    from aestyle.data.transforms import Preparation, to_float

    source, prepare = OrlFaces(), Preparation(resolution=64, channels=1)
    x = to_float(torch.stack([prepare(source.load(i)) for i in range(0, 400, 50)]))
    shifted, blurred = x.roll((1, 1), dims=(2, 3)), nn.functional.avg_pool2d(x, 5, stride=1, padding=2)
    assert PerceptualLoss()(x, shifted) < PerceptualLoss()(x, blurred)


def test_the_target_gets_no_gradient() -> None:
    x, x_hat = images(1, 1, 16, 16).requires_grad_(), images(1, 1, 16, 16).requires_grad_()
    PerceptualLoss()(x, x_hat).backward()
    assert x.grad is None
    assert x_hat.grad.abs().sum() > 0


def test_leaves_no_trace_in_the_state_of_its_owner() -> None:
    owner = nn.Linear(2, 2)
    owner.loss = PerceptualLoss()
    owner.loss(images(1, 1, 16, 16), images(1, 1, 16, 16))
    assert set(owner.state_dict()) == {"weight", "bias"}
    assert len(pickle.dumps(owner.loss)) < 1000


def test_cosine_of_the_maps_is_the_distance() -> None:
    """For T taps, the distance is 2 T (1 - cosine): the nearest picture is the same by either."""
    x, y = images(4, 3, 20, 20), images(4, 3, 20, 20)
    taps, size = [0, 4, 10], 32
    features = EffLite0Maps(taps, size)
    cosine = F.cosine_similarity(features(x), features(y))
    torch.testing.assert_close(2 * len(taps) * (1 - cosine), EffLite0Distance(taps, size)(x, y), atol=1e-5, rtol=1e-4)
    assert hash(features) == hash(EffLite0Maps(tuple(taps), size))
