"""Several processes: a strategy that wraps nothing, and the few reductions that phases need."""

import math
from collections.abc import Iterable, Sequence
from typing import Any, Self, cast

import torch
import torch.distributed as dist
from pytorch_lightning.strategies import DDPStrategy
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle


def world_size() -> int:
    """Number of processes; 1 outside of distributed training."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """Index of this process; 0 outside of distributed training."""
    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0


def agree_on_highest(number: int, device: torch.device) -> int:
    """The highest of the numbers that the processes bring."""
    if world_size() == 1:
        return number
    highest = torch.tensor(number, device=device)
    dist.all_reduce(highest, op=dist.ReduceOp.MAX)
    return int(highest)


class _AllReduceSum(torch.autograd.Function):
    """Sum over processes whose gradient is summed over processes too."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        x = x.clone()
        dist.all_reduce(x)
        return x

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        grad = grads[0].clone()
        dist.all_reduce(grad)
        return grad


def sum_over_ranks(x: Tensor) -> Tensor:
    """Sum of ``x`` over all processes, differentiable (every process must take part in the backward pass too)."""
    return _AllReduceSum.apply(x) if world_size() > 1 else x


def moments_over_ranks(x: Tensor, dims: Sequence[int] = (0,)) -> tuple[Tensor, Tensor]:
    """Mean and biased variance of ``x`` over all processes, differentiable.

    Args:
        x: (N, ...), this rank's samples; N is the same on every rank.
        dims: the dimensions that the moments run over.

    Returns:
        Mean and variance, without these dimensions, in at least float32.
    """
    x = x.to(torch.promote_types(x.dtype, torch.float32))
    count = world_size() * math.prod(x.shape[dim] for dim in dims)
    mean = sum_over_ranks(x.sum(tuple(dims), keepdim=True)) / count
    variance = sum_over_ranks((x - mean).square().sum(tuple(dims))) / count
    return mean.squeeze(tuple(dims)), variance


@torch.no_grad()
def average_over_ranks(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Each tensor averaged over all processes, in one collective; the same bits on every rank."""
    if world_size() == 1:
        return list(tensors)
    flat = torch.cat([t.detach().flatten() for t in tensors])
    dist.all_reduce(flat)
    flat /= world_size()
    return [part.view(t.shape) for part, t in zip(flat.split([t.numel() for t in tensors]), tensors, strict=True)]


class OverlappedAverage:
    """Averages gradients over all processes while the backward pass inside of the context still computes others.

    Gradients are reduced in buckets, in the reverse order of the parameters, which is about the order in which they
    are done. Buckets are sent in their order on every rank, so that collectives meet their own; what the backward pass
    leaves without a gradient, which is the same on all ranks, keeps no bucket back beyond its end.

    Args:
        parameters: whose ``grad`` is averaged, in place; those without one are left alone.
        bucket_bytes: a bucket is sent once it holds this much.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], bucket_bytes: int = 25 * 2**20) -> None:
        self.buckets = _buckets(dict.fromkeys(parameters), bucket_bytes) if world_size() > 1 else []
        self._next = 0
        self._missing = [len(bucket) for bucket in self.buckets]
        self._bucket_of = {parameter: i for i, bucket in enumerate(self.buckets) for parameter in bucket}
        self._sent: list[tuple[list[Tensor], Tensor, dist.Work]] = []
        self._hooks: list[RemovableHandle] = []

    def __enter__(self) -> Self:
        self._hooks = [parameter.register_post_accumulate_grad_hook(self._done) for parameter in self._bucket_of]
        return self

    def _done(self, parameter: Tensor) -> None:
        self._missing[self._bucket_of[cast(nn.Parameter, parameter)]] -= 1
        while self._next < len(self.buckets) and self._missing[self._next] == 0:
            self._send()

    @torch.no_grad()
    def _send(self) -> None:
        gradients = [p.grad for p in self.buckets[self._next] if p.grad is not None]
        self._next += 1
        if gradients:
            flat = torch.cat([gradient.flatten() for gradient in gradients])
            self._sent.append((gradients, flat, dist.all_reduce(flat, async_op=True)))

    @torch.no_grad()
    def __exit__(self, failed: type[BaseException] | None, *rest: object) -> None:
        for hook in self._hooks:
            hook.remove()
        if failed is not None:
            return
        while self._next < len(self.buckets):
            self._send()
        for gradients, flat, work in self._sent:
            work.wait()
            flat /= world_size()
            parts = flat.split([gradient.numel() for gradient in gradients])
            torch._foreach_copy_(gradients, [part.view(g.shape) for part, g in zip(parts, gradients, strict=True)])


def _buckets(parameters: Iterable[nn.Parameter], most: int) -> list[list[nn.Parameter]]:
    """The last parameters first, each bucket at least ``most`` bytes but for the last one."""
    buckets: list[list[nn.Parameter]] = [[]]
    held = 0
    for parameter in reversed(list(parameters)):
        if held >= most:
            buckets.append([])
            held = 0
        buckets[-1].append(parameter)
        held += parameter.nbytes
    return buckets


@torch.no_grad()
def gather_over_ranks(x: Tensor) -> Tensor:
    """The global batch (N * world_size, ...), without gradient, in its order: interleaved over ranks."""
    if world_size() == 1:
        return x.clone()
    parts = [torch.empty_like(x, memory_format=torch.contiguous_format) for _ in range(world_size())]
    dist.all_gather(parts, x.contiguous())
    return torch.stack(parts, dim=1).flatten(0, 1)


def _from_rank_0(tensor: Tensor) -> Tensor:
    """Rank 0's values of a tensor of the same shape on every rank, in plain layout (gloo takes no other)."""
    received = tensor.detach().clone(memory_format=torch.contiguous_format)
    if received.numel():
        dist.broadcast(received, src=0)
    return received


class PhaseDDP(DDPStrategy):
    """Data-parallel training that broadcasts once and wraps nothing.

    ``DistributedDataParallel`` reduces every gradient of the module in each backward pass; a method with several
    optimizers runs several backward passes, each for some networks only. Here the optimizer-step helper reduces just
    the gradients of its phase (:class:`OverlappedAverage`).
    """

    def configure_ddp(self) -> None:
        """Gives every process rank 0's parameters and buffers."""
        assert self.model is not None
        for tensor in [*self.model.parameters(), *self.model.buffers()]:
            tensor.data.copy_(_from_rank_0(tensor))


def check_replicas(module: torch.nn.Module) -> None:
    """Raises if any parameter or buffer differs between processes.

    Raises:
        RuntimeError: names the first tensor that differs.
    """
    if world_size() == 1:
        return
    for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
        reference = _from_rank_0(tensor)
        same = torch.equal(tensor.detach().nan_to_num(), reference.nan_to_num())
        differs = torch.tensor(float(not same), device=tensor.device)
        dist.all_reduce(differs)
        if differs > 0:
            raise RuntimeError(f"replicas have drifted apart: {name} differs between processes")
