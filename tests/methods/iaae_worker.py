"""What one of two ranks checks of the AAE family; started by test_iaae_ddp, which has trained on one process before."""

import sys
from pathlib import Path

import torch
import torch.distributed as dist

from aestyle.engine.batchnorm import globalise
from aestyle.engine.distributed import check_replicas, rank, world_size
from aestyle.engine.module import PhasedModule
from aestyle.methods.aae import KLD
from aestyle.nets.posterior import Posterior
from tests.methods.driven import images, tiny
from tests.methods.test_iaae import FAMILY

METHODS = (*FAMILY, "iaae method/variants=[kld_loss] method.kld.from_prior=true method/backbone=conv")
ITERATIONS = 4


def trained(options: str) -> PhasedModule:
    """A few iterations in float64 on this rank's part of the same global batches."""
    method, _ = tiny(options)
    method.double()
    for i in range(ITERATIONS):
        method.training_step({"image": images(method, seed=i, size=12)[rank() :: world_size()]}, 0)
    return method


def check_two_ranks_equal_one_process(expected: dict[str, dict[str, torch.Tensor]]) -> None:
    """Weights, averages and running statistics; KLD's moments and those of batch normalisation make the difference."""
    for options, state in expected.items():
        method = trained(options)
        check_replicas(method)
        for name, value in method.state_dict().items():
            assert torch.allclose(value, state[name], rtol=0, atol=1e-9), (options, name)


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


def main() -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    check_batch_normalisation_over_ranks()
    check_moments_of_kld_are_those_of_all_ranks()
    check_two_ranks_equal_one_process(torch.load(Path(sys.argv[1]), weights_only=True))
    dist.destroy_process_group()
    print("all checks passed", flush=True)


if __name__ == "__main__":
    main()
