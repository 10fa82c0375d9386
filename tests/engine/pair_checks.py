"""What two ranks check together, beside training; jobs of ``pair``."""

import pytest
import torch
import torch.distributed as dist
from torch import nn

from aestyle.engine.augment import AdaptiveAugment
from aestyle.engine.batchnorm import globalise
from aestyle.engine.distributed import (
    OverlappedAverage,
    average_over_ranks,
    check_replicas,
    rank,
    sum_over_ranks,
    world_size,
)
from aestyle.engine.phases import Phase, Step
from aestyle.methods.aae import KLD
from aestyle.nets.posterior import Posterior
from tests.methods.test_every_method import batch, make, state
from tests.tiny import METHODS, differences


def check_sum_has_the_gradient_of_the_global_loss() -> None:
    x = torch.arange(3.0, dtype=torch.float64) + 10 * rank()
    x.requires_grad_()
    mean = sum_over_ranks(x.sum()) / 6
    (x - mean).square().sum().backward()  # the global loss is the sum over ranks
    both = torch.tensor([0.0, 1, 2, 10, 11, 12], dtype=torch.float64, requires_grad=True)
    (both - both.mean()).square().sum().backward()
    assert both.grad is not None
    assert x.grad is not None
    assert torch.allclose(x.grad, both.grad[3 * rank() :][:3])


def check_average_is_the_same_on_both() -> None:
    tensors = [torch.full((2, 3), float(rank())), torch.tensor(4.0 * rank())]
    averaged = average_over_ranks(tensors)
    assert torch.equal(averaged[0], torch.full((2, 3), 0.5))
    assert averaged[1] == 2.0


def check_buckets_average_what_one_collective_would() -> None:
    """Whatever their size, and with parameters that the loss does not reach, or through other collectives."""
    x = torch.randn(3, 4, generator=torch.Generator().manual_seed(rank()))
    for size, buckets in ((1, 12), (40, 6), (10**6, 1)):
        net = nn.ModuleList([nn.Linear(4, 4) for _ in range(6)])
        for i, parameter in enumerate(net.parameters()):
            nn.init.constant_(parameter, i / 10)

        def loss(net: nn.ModuleList = net) -> torch.Tensor:
            h = x
            for i in (3, 0, 5, 1):
                h = net[i](h).tanh()
            return sum_over_ranks(h.sum()).square() + h.square().sum()

        loss().backward()
        reached = [p for p in net.parameters() if p.grad is not None]
        expected = average_over_ranks([p.grad for p in reached if p.grad is not None])
        net.zero_grad(set_to_none=True)
        with OverlappedAverage(net.parameters(), size) as reduction:
            loss().backward()
        assert len(reached) == 8
        assert [id(p) for p in net.parameters() if p.grad is not None] == [id(p) for p in reached]
        assert not differences(expected, [p.grad for p in reached])
        assert len(reduction.buckets) == buckets


def check_planted_drift_is_caught() -> None:
    for plant in ("parameter", "buffer"):
        method = make("stylegan2")
        check_replicas(method)
        if rank() == 1:
            tensor = method.synthesis.const if plant == "parameter" else method.path_mean  # type: ignore[union-attr]
            tensor.data += 1e-7  # type: ignore[union-attr,operator]
        with pytest.raises(RuntimeError, match=r"replicas have drifted apart: (synthesis\.const|path_mean)"):
            check_replicas(method)


def check_p_is_that_of_one_process() -> None:
    """Both ranks' signs decide, to the bit: each rank alone would go another way."""
    torch.manual_seed(0)
    augment = AdaptiveAugment(target=0.2, speed_kimg=0.3, interval=2)
    level, signs = 0, 0
    for step in range(1, 41):
        both = torch.randn(12, 1) + (2 * torch.rand(()) - 0.4) + torch.tensor([[-0.7], [0.7]]).repeat(6, 1)
        augment.observe(both[rank() :: 2])
        signs += int(both.sign().sum())
        if step % 2 == 0:
            level, signs = min(max(level + (24 if signs / 24 > 0.2 else -24), 0), 300), 0
        assert augment.p == level / 300
        check_replicas(augment)
    assert level > 0


def check_poison_on_one_rank_stops_both() -> None:
    for name in METHODS:
        method = make(name)
        before = state(method)
        images = batch(method, seed=rank())
        if rank() == 1:
            images["image"][:] = torch.nan
        method.run_phase(method.phases()[0], next(_steps(method, images["image"][:8])))
        assert method.bad_steps == 1
        changed = [name for name in differences(before, state(method)) if ".augment." not in name]
        assert not changed, changed  # augmentation counts the images that D has seen all the same
        check_replicas(method)


def _steps(method, images):  # type: ignore[no-untyped-def]
    for phase in method.phases():
        assert isinstance(phase, Phase)
        yield Step(images, method.draws(phase.name, 0, images))


def check_ranks_draw_different_codes() -> None:
    method = make("stylegan2")
    mine = method.draws("G", 0, torch.zeros(4, 1)).normal("z", (6,))
    gathered = [torch.empty_like(mine) for _ in range(world_size())]
    dist.all_gather(gathered, mine)
    assert not (gathered[0] == gathered[1]).any()
    coins = [method.draws("G", 0, torch.zeros(4, 1)).uniform("mix")]
    agreed = average_over_ranks([torch.tensor(coins[0], dtype=torch.float64)])[0]
    assert agreed == coins[0]


def check_batch_normalisation_over_ranks() -> None:
    torch.manual_seed(0)
    plain = torch.nn.Sequential(torch.nn.BatchNorm2d(3)).double()
    torch.nn.init.normal_(plain[0].weight)  # type: ignore[arg-type]
    x = torch.randn(6, 3, 2, 2, dtype=torch.float64, requires_grad=True)
    direction = torch.randn(6, 3, 2, 2, dtype=torch.float64)
    ours = globalise(torch.nn.Sequential(torch.nn.BatchNorm2d(3)).double())
    ours.load_state_dict(plain.state_dict())
    expected = plain(x)
    (gradient,) = torch.autograd.grad((expected * direction).sum(), x)
    mine = x.detach()[rank() :: 2].requires_grad_()
    output = ours(mine)
    torch.testing.assert_close(output, expected[rank() :: 2])
    (output * direction[rank() :: 2]).sum().backward()
    torch.testing.assert_close(mine.grad, gradient[rank() :: 2])
    for name, buffer in plain.named_buffers():
        torch.testing.assert_close(dict(ours.named_buffers())[name], buffer)


def check_moments_of_kld_are_those_of_all_ranks() -> None:
    torch.manual_seed(1)
    mu, sigma = torch.randn(2, 6, 3, dtype=torch.float64)
    mu += 5 * torch.tensor([[0.0], [1.0]]).repeat(3, 1)  # the ranks' own moments are far from the common ones
    variance = mu.var(dim=0, correction=0) + sigma.square().mean(dim=0)
    expected = 0.5 * (variance + mu.mean(dim=0).square() - 1 - variance.log()).sum()
    mine = Posterior(mu[rank() :: 2], sigma[rank() :: 2])
    torch.testing.assert_close(KLD().of_moments(mine), expected)
