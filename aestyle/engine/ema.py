"""Exponential moving average of weights, on the images-seen clock."""

import copy
from dataclasses import dataclass

import torch
from torch import nn

from aestyle.errors import UserError


@dataclass(frozen=True)
class EmaSettings:
    """How fast averaged weights follow.

    Args:
        half_life_kimg: thousands of images after which an old weight counts half; 0 averages nothing: the last weights.
        rampup: shortens the half-life early on, to at most this fraction of the images seen; None never does.
        per_iteration: a decay per iteration, however many images it has, in the place of both (PIONEER: 0.999).
    """

    half_life_kimg: float = 10.0
    rampup: float | None = None
    per_iteration: float | None = None

    def __post_init__(self) -> None:
        """Raises UserError: a length of time is out of range, or a decay is none."""
        if self.half_life_kimg < 0 or (self.rampup is not None and self.rampup <= 0):
            raise UserError(
                "method.ema: half_life_kimg must be at least 0 and rampup above 0 (rampup=null leaves the ramp out)"
            )
        if self.per_iteration is not None and not 0 <= self.per_iteration < 1:
            raise UserError(f"method.ema.per_iteration={self.per_iteration}: give a decay of at least 0 and below 1")

    def decay(self, batch_size: int, images_seen: int) -> float:
        """Decay of one update after a global batch: ``0.5 ** (batch_size / half_life in images)``.

        Args:
            batch_size: images in the global batch.
            images_seen: images seen, this batch included.
        """
        if self.per_iteration is not None:
            return self.per_iteration
        half_life = self.half_life_kimg * 1000
        if self.rampup is not None:
            half_life = min(half_life, images_seen * self.rampup)
        return float(0.5 ** (batch_size / max(half_life, 1e-8)))


def frozen_copy(network: nn.Module) -> nn.Module:
    """A copy in eval mode that never takes gradients."""
    return copy.deepcopy(network).eval().requires_grad_(False)


@torch.no_grad()
def update_ema(averaged: nn.Module, network: nn.Module, decay: float) -> None:
    """Moves ``averaged`` toward ``network``: parameters by ``1 - decay``, buffers are copied."""
    torch._foreach_lerp_(list(averaged.parameters()), list(network.parameters()), 1 - decay)
    for mine, theirs in zip(averaged.buffers(), network.buffers(), strict=True):
        mine.copy_(theirs)
