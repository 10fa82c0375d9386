"""Inversion of any model by optimisation: the code of a space whose image comes closest to a picture."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from aestyle.engine.draws import KeyedDraws
from aestyle.errors import UserError
from aestyle.latents.optimize import Loss, Optimized, best_of, optimize
from aestyle.latents.prior import mean_code, prior_codes, spread
from aestyle.latents.spaces import get_space
from aestyle.protocol import LatentModel

STARTS = ("mean", "encoder", "random")
"""Where an inversion may start: at the prior's mean, at E(x), at a code of the prior."""

Distance = Callable[[Tensor, Tensor], Tensor]
"""Target images and others to one distance a picture, (N,)."""


class Weighted(NamedTuple):
    """A distance and how much it counts in a loss."""

    distance: Distance
    weight: float = 1.0


@dataclass(frozen=True)
class Schedule:
    """How codes are optimised; every part of a schedule scales with the number of steps.

    The defaults are those of the paper on overparameterised StyleGAN (section 4.2). :data:`NVIDIA` is the projector of
    stylegan2-ada.

    Args:
        steps: steps of Adam.
        lr: its learning rate.
        shrink: before a step, codes are pulled toward the prior's mean: ``mean + shrink (code - mean)``.
        shrink_until: part of the steps that do so; 0: none, 1: all (PULSE-like upsampling).
        warmup: part of the steps, at the start, in which the learning rate grows linearly.
        cooldown: part of the steps, at the end, in which it falls along a cosine.
        noise: images are drawn of codes with noise of this size, in root mean square distances of the prior's codes
            from their mean.
        noise_until: part of the steps in which the noise falls, quadratically, to 0.

    Raises:
        UserError: a number cannot be.
    """

    steps: int = 1000
    lr: float = 0.05
    shrink: float = 0.9
    shrink_until: float = 0.5
    warmup: float = 0.0
    cooldown: float = 0.0
    noise: float = 0.0
    noise_until: float = 0.75

    def __post_init__(self) -> None:
        """Looks at the numbers."""
        if self.steps < 1 or self.lr <= 0 or self.noise < 0:
            raise UserError(
                f"schedule: steps={self.steps} must be at least 1, lr={self.lr} above 0, noise={self.noise} at least 0"
            )
        for name in ("shrink", "shrink_until", "warmup", "cooldown", "noise_until"):
            if not 0 <= getattr(self, name) <= 1:
                raise UserError(f"schedule.{name}={getattr(self, name)}: give a number between 0 and 1")

    def lr_at(self, step: int) -> float:
        """Learning rate of a step, counted from 0."""
        done = step / self.steps
        falling = min(1.0, (1 - done) / self.cooldown) if self.cooldown else 1.0
        growing = min(1.0, done / self.warmup) if self.warmup else 1.0
        return self.lr * (0.5 - 0.5 * math.cos(falling * math.pi)) * growing

    def noise_at(self, step: int) -> float:
        """Size of the noise of a step, counted from 0."""
        return self.noise * max(0.0, 1 - step / self.steps / self.noise_until) ** 2 if self.noise_until else 0.0

    def shrinks_at(self, step: int) -> bool:
        """Whether codes are pulled toward the mean before a step, counted from 0."""
        return step < self.shrink_until * self.steps


NVIDIA = Schedule(lr=0.1, shrink=1.0, shrink_until=0.0, warmup=0.05, cooldown=0.25, noise=0.05)
"""The projector of stylegan2-ada-pytorch, which optimises noise maps beside the code; these stay as they are here."""


def start_codes(
    model: LatentModel, images: Tensor, space: str, start: str = "mean", seed: int = 0, position: int = 0
) -> Tensor:
    """Codes (N, *shape) to start from.

    Args:
        model: a trained model.
        images: targets (N, C, R, R) in [-1, 1], on the model's device.
        space: name of the codes' space.
        start: one of :data:`STARTS`.
        seed: keys random codes.
        position: of the first picture among all; a picture's random code does not depend on its batch.

    Raises:
        UserError: there is no such start or space, or the model has no encoder.
    """
    if start not in STARTS:
        raise UserError(f"start={start}: choose one of {', '.join(STARTS)}")
    get_space(model.spaces, space)
    if start == "mean":
        return mean_code(model, space).repeat(len(images), *[1] * len(model.spaces[space].shape))
    if start == "random":
        return prior_codes(model, space, position + len(images), seed)[position:].clone()
    with torch.no_grad():
        return model.convert_code(model.encode(images), model.code_space, space).clone()


def distance_losses(images: Tensor, distances: Mapping[str, Weighted]) -> dict[str, Loss]:
    """Weighted distances from pictures as losses of the optimiser.

    Args:
        images: targets (N, C, R, R).
        distances: distance and weight by name; those of weight 0 are left out.
    """

    def loss(distance: Distance, weight: float) -> Loss:
        return lambda codes, rec: weight * distance(images, rec)

    return {name: loss(distance, weight) for name, (distance, weight) in distances.items() if weight}


def total_distance(x: Tensor, y: Tensor, distances: Mapping[str, Weighted]) -> Tensor:
    """Sum of weighted distances between images (N, C, R, R): (N,)."""
    return torch.stack([weight * distance(x, y) for distance, weight in distances.values() if weight]).sum(dim=0)


def squared_error(x: Tensor, y: Tensor) -> Tensor:
    """Mean squared error of each picture: (N,)."""
    return (x - y).square().flatten(1).mean(dim=1)


def invert(
    model: LatentModel,
    codes: Tensor,
    losses: Mapping[str, Loss],
    space: str,
    schedule: Schedule | None = None,
    seed: int = 0,
    position: int = 0,
    progress: Callable[[int], None] | None = None,
) -> Optimized:
    """Optimises codes so that the losses of their images fall, every picture for itself.

    Args:
        model: a trained model.
        codes: where to start (N, *shape), as from :func:`start_codes`.
        losses: what to minimise, as from :func:`distance_losses`.
        space: the codes' space.
        schedule: steps, learning rate and what holds codes near the prior; None: that of the paper.
        seed: keys the noise.
        position: of the first picture among all; a picture's noise does not depend on its batch.
        progress: called after each step with the number of steps done.
    """
    schedule, step = schedule or Schedule(), 0
    get_space(model.spaces, space).check(codes)
    mean = mean_code(model, space) if schedule.shrink_until else None
    size = spread(model, space) if schedule.noise else 0.0
    positions = position + torch.arange(len(codes), device=codes.device)

    def prepare(now: int, codes: Tensor) -> None:
        nonlocal step
        step = now
        if mean is not None and schedule.shrinks_at(now):
            codes.copy_(mean + schedule.shrink * (codes - mean))

    def decode(codes: Tensor) -> Tensor:
        if amount := size * schedule.noise_at(step):
            draws = KeyedDraws(seed, "invert", step, positions, 0, codes.dtype)
            codes = codes + amount * draws.normal("noise", codes.shape[1:])
        return model.decode(codes, space)

    return optimize(codes, decode, losses, schedule.steps, schedule.lr_at, progress, prepare)


def invert_pictures(
    model: LatentModel,
    images: Tensor,
    distances: Mapping[str, Weighted],
    space: str,
    start: str = "mean",
    schedule: Schedule | None = None,
    restarts: int = 1,
    seed: int = 0,
    position: int = 0,
    progress: Callable[[int], None] | None = None,
) -> Optimized:
    """Codes whose images come close to pictures, from one start or the best of several random ones.

    Args:
        model: a trained model.
        images: targets (N, C, R, R) in [-1, 1], on the model's device.
        distances: what is to become small, by name.
        space: name of the codes' space.
        start: one of :data:`STARTS`.
        schedule: None: that of the paper on overparameterised StyleGAN.
        restarts: how often to start at random; each picture keeps the codes and curves with the least end.
        seed: keys noise and random codes; the i-th restart, from 0 on, has ``seed + i``.
        position: of the first picture among all.
        progress: called after each step of each restart.

    Raises:
        UserError: there is no such start or space, the model has no encoder to start from, or there is nothing random
            to restart from.
    """
    if restarts < 1 or (restarts > 1 and start != "random"):
        raise UserError(f"restarts={restarts}: give 1, or more with start=random (start={start} is always the same)")
    losses = distance_losses(images, distances)
    if not losses:
        raise UserError("loss: every weight is 0; give one above 0")
    tries = [
        invert(model, codes, losses, space, schedule, key, position, progress)
        for key in range(seed, seed + restarts)
        for codes in [start_codes(model, images, space, start, key, position)]
    ]
    return best_of(tries)
