"""Averaged weights on a synthetic sequence: no training involved."""

import copy

import pytest
import torch
from torch import nn

from aestyle.engine.ema import EmaSettings, frozen_copy, update_ema


@pytest.fixture(params=range(3), autouse=True)
def seed(request: pytest.FixtureRequest) -> None:
    torch.manual_seed(request.param)


def network() -> nn.Module:
    """Parameters, float buffers and an integer buffer, in float64."""
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)).double()


def follow(settings: EmaSettings, target: nn.Module, start: nn.Module, batch_size: int, batches: int) -> nn.Module:
    averaged = frozen_copy(start)
    for i in range(1, batches + 1):
        update_ema(averaged, target, settings.decay(batch_size, i * batch_size))
    return averaged


def weights(module: nn.Module) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in module.parameters()])


def random_settings(rampup: float | None = None) -> EmaSettings:
    return EmaSettings(half_life_kimg=0.01 + float(torch.rand(())), rampup=rampup)


def test_half_of_the_distance_is_left_after_a_half_life() -> None:
    start, target, batches = network(), network(), 50
    averaged = follow(EmaSettings(half_life_kimg=0.4), target, start, 8, batches)
    torch.testing.assert_close(weights(averaged), (weights(start) + weights(target)) / 2)


def test_average_of_a_sequence_has_a_closed_form() -> None:
    settings, batch_size = random_settings(), int(torch.randint(1, 64, ()))
    sequence = [network() for _ in range(9)]
    averaged = frozen_copy(sequence[0])
    for i, current in enumerate(sequence[1:], 1):
        update_ema(averaged, current, settings.decay(batch_size, i * batch_size))
    decay = 0.5 ** (batch_size / (1000 * settings.half_life_kimg))
    expected = weights(sequence[0]) * decay**8
    for i, current in enumerate(sequence[1:], 1):
        expected = expected + weights(current) * (1 - decay) * decay ** (8 - i)
    torch.testing.assert_close(weights(averaged), expected)


def test_average_depends_on_images_not_on_batches() -> None:
    settings, start, target = random_settings(), network(), network()
    one = follow(settings, target, start, batch_size=16, batches=1)
    two = follow(settings, target, start, batch_size=8, batches=2)
    torch.testing.assert_close(weights(one), weights(two))


def test_default_decay_is_the_reference_decay() -> None:
    assert EmaSettings().decay(16, 10**9) == pytest.approx(0.998892, abs=5e-7)


def test_rampup_shortens_the_half_life_early_on() -> None:
    settings = random_settings(rampup=0.05)
    batch_size = int(torch.randint(1, 64, ()))
    end = 1000 * settings.half_life_kimg / 0.05
    for share in torch.rand(10).tolist():
        early = settings.decay(batch_size, max(1, int(share * end)))
        assert early == pytest.approx(0.5 ** (batch_size / (0.05 * max(1, int(share * end)))))
    late = 0.5 ** (batch_size / (1000 * settings.half_life_kimg))
    assert settings.decay(batch_size, int(end * 2) + 1) == pytest.approx(late)


def test_rampup_has_a_closed_form() -> None:
    """Below the full half-life, batch i leaves ``0.5 ** (1 / (i * rampup))`` whatever the batch size."""
    settings, start, target, rampup = EmaSettings(half_life_kimg=1e6, rampup=0.3), network(), network(), 0.3
    averaged = follow(settings, target, start, int(torch.randint(1, 64, ())), 12)
    left = 0.5 ** sum(1 / (i * rampup) for i in range(1, 13))
    torch.testing.assert_close(weights(averaged), weights(target) + (weights(start) - weights(target)) * left)


def test_buffers_are_copied() -> None:
    source, averaged = network(), frozen_copy(network())
    source.train()
    for _ in range(3):
        source(torch.randn(5, 3, dtype=torch.float64))
    update_ema(averaged, source, 0.9)
    for mine, theirs in zip(averaged.buffers(), source.buffers(), strict=True):
        assert torch.equal(mine, theirs)
        assert mine.data_ptr() != theirs.data_ptr()


def test_averaged_copy_is_frozen_and_leaves_the_network_alone() -> None:
    source = network()
    before = copy.deepcopy(source.state_dict())
    averaged = frozen_copy(source)
    update_ema(averaged, network(), 0.5)
    assert not averaged.training
    assert source.training
    assert not any(p.requires_grad for p in averaged.parameters())
    assert all(p.requires_grad for p in source.parameters())
    assert all(torch.equal(before[name], value) for name, value in source.state_dict().items())
