"""How networks are run in a training step: their precision, compiled or not, with their activations kept or not.

Autocast reaches no further than the passes of networks. What they give is float32 again, so that losses, regularisers,
augmentation, statistics of codes, adaptive weights and every backward pass are computed as without it.
"""

import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from lightning_utilities.core.apply_func import apply_to_collection
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from aestyle.nets.convolution import differentiated_twice, is_differentiated_twice
from aestyle.nets.discriminator import ResidualBlock
from aestyle.nets.modulation import StyledConv
from aestyle.nets.precision import autocasts, widen

BLOCKS = (StyledConv, ResidualBlock)
"""What is computed anew for the backward pass; nothing inside of them changes from one time to the next."""


def set_tf32(allowed: bool) -> None:
    """Whether CUDA's products and convolutions of float32 may round their factors to TensorFloat-32."""
    # Not `fp32_precision`: Lightning and the compiler ask by these names, which raises once that one was set.
    torch.set_float32_matmul_precision("high" if allowed else "highest")
    torch.backends.cudnn.allow_tf32 = allowed


class Passes:
    """What is done with every pass of a network during training.

    Args:
        compile: passes that are differentiated once go through ``torch.compile``.
        recompute: activations inside of the StyleGAN2 family's blocks are computed anew in the backward pass, which
            costs a third more time and leaves the numbers as they are (gradient checkpointing).
    """

    def __init__(self, compile: bool = False, recompute: bool = False) -> None:
        self.compile = compile
        self.recompute = recompute
        self._compiled: dict[nn.Module, Callable[..., Any]] = {}

    @contextmanager
    def of(self, networks: Iterable[nn.Module], device: torch.device) -> Iterator[None]:
        """Inside, these networks run as they should; the precision is the one that autocast asks for outside.

        Args:
            networks: the networks.
            device: where they are.
        """
        kind, networks = device.type, list(networks)
        narrow = torch.get_autocast_dtype(kind) if autocasts(kind) else None
        with ExitStack() as stack:
            if narrow is not None:
                stack.enter_context(torch.autocast(kind, enabled=False))
            if self.recompute:
                for block in (m for network in networks for m in network.modules() if isinstance(m, BLOCKS)):
                    stack.enter_context(_replaced_forward(block, _recomputed(block.forward)))
            if narrow is not None or self.compile:
                for network in networks:
                    run = self._pass(network, kind, narrow)
                    stack.enter_context(_replaced_forward(network, run))
            yield

    def _pass(self, network: nn.Module, kind: str, narrow: torch.dtype | None) -> Callable[..., Any]:
        """The network's forward pass, in the narrow precision and compiled where it may be."""
        plain = network.forward
        if self.compile and network not in self._compiled:
            # Frozen or not, with gradient or without, one batch or several together: each is a graph of its own.
            warnings.filterwarnings("ignore", ".*`functools.lru_cache`-wrapped function.*")  # ours may be traced
            torch._dynamo.config.recompile_limit = max(64, torch._dynamo.config.recompile_limit)
            self._compiled[network] = torch.compile(plain)
        once = self._compiled[network] if self.compile else plain

        def run(*args: Any, **kwargs: Any) -> Any:
            if is_differentiated_twice():
                return plain(*args, **kwargs)
            if narrow is None:
                return once(*args, **kwargs)
            with torch.autocast(kind, narrow, cache_enabled=False):
                result = once(*args, **kwargs)
            return apply_to_collection(result, Tensor, widen)

        return run


def _recomputed(forward: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def run(*args: Any) -> Tensor:
        if not torch.is_grad_enabled():
            return forward(*args)
        # The backward pass may come under another setting: what is computed anew has to be the same.
        same = differentiated_twice(is_differentiated_twice())(forward)
        result: Tensor = checkpoint(same, *args, use_reentrant=False, preserve_rng_state=False)
        return result

    return run


@contextmanager
def _replaced_forward(module: nn.Module, forward: Callable[..., Any]) -> Iterator[None]:
    """Inside, calling the module runs ``forward``; its class and its hooks stay as they are."""
    module.forward = forward
    try:
        yield
    finally:
        del module.forward
