"""A method is a list of phases; a phase is one kind of optimizer step."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from aestyle.engine.draws import Draws


@dataclass(frozen=True)
class Step:
    """What a phase's loss is given.

    Args:
        real: real images (N, C, H, W) in [-1, 1] of this rank and repetition.
        draws: this step's random numbers.
    """

    real: Tensor
    draws: Draws


@dataclass(frozen=True)
class Phase:
    """One kind of optimizer step.

    Args:
        name: names the phase in logs and keys its draws.
        networks: names of the networks that this phase changes, and no others.
        loss: from a :class:`Step` to the scalar to minimise.
        every: runs in every ``every``-th iteration, the first one included.
        repeat: how often it runs in such an iteration, each time on the next sub-batch, beginning anew behind the last.
        optimizer: the one that steps; None: every one that holds one of the networks.
    """

    name: str
    networks: tuple[str, ...]
    loss: Callable[[Step], Tensor]
    every: int = 1
    repeat: int = 1
    optimizer: str | None = None


@dataclass(frozen=True)
class Lazy:
    """A regulariser that runs in every ``every``-th iteration with ``every``-fold weight (StyleGAN2, section 3.1).

    Args:
        weight: weight per iteration (gamma of R1, the path-length weight).
        every: interval in iterations.
    """

    weight: float
    every: int

    @property
    def lazy_weight(self) -> float:
        """Weight in the iterations where it runs."""
        return self.weight * self.every


@contextmanager
def only_trainable(networks: Mapping[str, nn.Module], names: Sequence[str]) -> Iterator[None]:
    """Lets only the named networks take gradients inside; restores every flag after, also on an error.

    Parameters that were frozen before stay frozen.
    """
    saved = [(p, p.requires_grad) for network in networks.values() for p in network.parameters()]
    chosen = {id(p) for name in names for p in networks[name].parameters()}
    try:
        for p, flag in saved:
            p.requires_grad_(flag and id(p) in chosen)
        yield
    finally:
        for p, flag in saved:
            p.requires_grad_(flag)


def adam(
    parameters: Sequence[nn.Parameter],
    lr: float,
    betas: tuple[float, float] = (0.0, 0.99),
    eps: float = 1e-8,
    lazy: Lazy | None = None,
) -> torch.optim.Adam:
    """Adam for one group of networks.

    Args:
        parameters: what it steps.
        lr: learning rate.
        betas: decay of the first and second moment per iteration.
        eps: Adam's epsilon.
        lazy: a regulariser that gives this optimizer ``every + 1`` steps in ``every`` iterations: lr and betas are
            corrected with ``c = every / (every + 1)`` so that an iteration keeps its meaning (StyleGAN2, appendix B).
    """
    c = lazy.every / (lazy.every + 1) if lazy else 1.0
    return torch.optim.Adam(parameters, lr=lr * c, betas=(betas[0] ** c, betas[1] ** c), eps=eps, fused=True)
