"""Batch normalisation on several processes, and statistics of layers that move only when weights do."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from aestyle.engine.distributed import moments_over_ranks, world_size
from aestyle.errors import UserError
from aestyle.nets.spectral import SpectralConv2d


class GlobalBatchNorm(_BatchNorm):
    """Batch normalisation over the global batch: that of one process, whatever the number of processes.

    PyTorch's own synchronised layer runs on GPUs only. Takes (N, C) and (N, C, H, W).

    Raises:
        UserError: in training, a batch of one value a channel, which has no variance.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Normalises each channel; batch statistics in training, running statistics in evaluation."""
        if self.training and world_size() * x.numel() == x.shape[1]:
            raise UserError("batch_size=1: batch normalisation needs at least 2 images in a batch")
        if not self.training or world_size() == 1:
            return super().forward(x)
        mean, variance = moments_over_ranks(x, [dim for dim in range(x.dim()) if dim != 1])
        self._follow(mean.detach(), variance.detach(), world_size() * x.numel() // x.shape[1])
        shape = (1, -1, *(1 for _ in x.shape[2:]))
        scale = self.weight * torch.rsqrt(variance + self.eps)
        return ((x - mean.view(shape)) * scale.view(shape) + self.bias.view(shape)).to(x.dtype)

    def _follow(self, mean: Tensor, variance: Tensor, count: int) -> None:
        """Moves the running statistics toward the batch's; the variance is made unbiased, as in PyTorch."""
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        assert self.momentum is not None
        self.num_batches_tracked.add_(1)
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance * (count / (count - 1)), self.momentum)

    def _check_input_dim(self, x: Tensor) -> None:
        """Every input with channels in dimension 1 will do."""


def globalise(network: nn.Module) -> nn.Module:
    """Replaces the batch normalisation layers inside a network, weights and all, by those over the global batch."""
    for module in list(network.modules()):
        for name, child in module.named_children():
            if isinstance(child, _BatchNorm):
                layer = GlobalBatchNorm(child.num_features, child.eps, child.momentum)
                layer.to(device=child.weight.device, dtype=child.weight.dtype).load_state_dict(child.state_dict())
                setattr(module, name, layer.train(child.training))
    return network


@contextmanager
def batch_statistics(model: object) -> Iterator[None]:
    """Inside, batch normalisation in eval mode takes the statistics of the batch that it sees, on this process alone.

    The running statistics are out of its reach, and so stay as they are.

    Args:
        model: what has no layers of batch normalisation is left alone.
    """
    modules = model.modules() if isinstance(model, nn.Module) else []
    layers = [layer for layer in modules if isinstance(layer, _BatchNorm)]
    running = [(layer.running_mean, layer.running_var) for layer in layers]
    try:
        for layer in layers:
            layer.running_mean = layer.running_var = None
        yield
    finally:
        for layer, (mean, variance) in zip(layers, running, strict=True):
            layer.running_mean, layer.running_var = mean, variance


class RunningStatistics:
    """What a network's layers keep from batch to batch, as it is now: moments, and vectors of the spectral norm.

    Args:
        network: the network.
    """

    def __init__(self, network: nn.Module) -> None:
        layers = [layer for layer in network.modules() if isinstance(layer, _BatchNorm | SpectralConv2d)]
        self.saved = [(buffer, buffer.clone()) for layer in layers for buffer in layer.buffers()]

    def restore(self) -> None:
        """Puts them back."""
        for buffer, before in self.saved:
            buffer.copy_(before)
