"""Batch normalisation: what a replaced layer computes, and when running statistics move."""

from collections.abc import Callable

import pytest
import torch
from torch import nn

from aestyle.engine.batchnorm import GlobalBatchNorm, RunningStatistics, globalise
from aestyle.engine.distributed import moments_over_ranks
from aestyle.engine.phases import Phase
from aestyle.errors import UserError
from tests.methods.driven import images, tiny
from tests.tiny import differences


def network() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(2, 3, 1), nn.BatchNorm2d(3), nn.Flatten(), nn.Sequential(nn.BatchNorm1d(48)))


@pytest.mark.parametrize("training", [True, False])
def test_one_process_computes_what_pytorch_computes(training: bool) -> None:
    plain = network()
    for p in plain.parameters():
        nn.init.normal_(p)
    other = network()
    other.load_state_dict(plain.state_dict())
    globalise(other.train(training))
    plain.train(training)
    assert [type(layer) for layer in other.modules()].count(GlobalBatchNorm) == 2
    x = torch.randn(5, 2, 4, 4)
    assert torch.equal(plain(x), other(x))
    assert not differences(dict(plain.state_dict()), dict(other.state_dict()))


def test_moments() -> None:
    x = torch.randn(7, 3, 4, dtype=torch.float64)
    mean, variance = moments_over_ranks(x, [0, 2])
    torch.testing.assert_close(mean, x.mean(dim=(0, 2)))
    torch.testing.assert_close(variance, x.var(dim=(0, 2), correction=0))
    assert torch.autograd.gradcheck(lambda x: moments_over_ranks(x, [0, 2]), x.requires_grad_())


def test_running_statistics_come_back() -> None:
    net = network()
    net(torch.randn(4, 2, 4, 4))
    before = {name: buffer.clone() for name, buffer in net.named_buffers()}
    saved = RunningStatistics(net)
    net(torch.randn(4, 2, 4, 4))
    assert differences(before, dict(net.named_buffers()))
    saved.restore()
    assert not differences(before, dict(net.named_buffers()))


def test_one_image_is_refused() -> None:
    with pytest.raises(UserError, match="batch_size=1"):
        globalise(nn.Sequential(nn.BatchNorm1d(3)))(torch.randn(1, 3))
    assert globalise(nn.Sequential(nn.BatchNorm1d(3))).eval()(torch.randn(1, 3)).shape == (1, 3)


def poisoned(loss: Callable) -> Callable:
    return lambda step: loss(step) * torch.nan


@pytest.mark.parametrize("phase", ["AE", "D", "E"])
@pytest.mark.parametrize("bad", [False, True])
def test_statistics_move_with_the_weights(phase: str, bad: bool) -> None:
    """Those of a network that is looked at but not trained stay, and so do all if a step is not taken."""
    method, _ = tiny("aae")
    before = {name: buffer.clone() for name, buffer in method.named_buffers() if not name.startswith("ema")}
    (chosen,) = (p for p in method.phases() if p.name == phase)
    if bad:
        chosen = Phase(chosen.name, chosen.networks, poisoned(chosen.loss), optimizer=chosen.optimizer)
    method.run_phase(chosen, method_step(method, phase))
    after = {name: buffer for name, buffer in method.named_buffers() if not name.startswith("ema")}
    moved = {name.split(".")[1] for name in differences(before, after)}
    assert moved == (set() if bad else set(chosen.networks) - {"discriminator"})


def method_step(method, phase):  # type: ignore[no-untyped-def]
    from aestyle.engine.phases import Step

    batch = images(method)
    return Step(batch, method.draws(phase, 0, batch))
