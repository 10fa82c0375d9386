"""Keyed randomness: every draw is a pure function of what it is for.

A draw's key is (seed, phase, repetition, name, global position of the sample in the run). So it does not depend on how
a batch is cut over ranks, nor on what was drawn before: a resumed run repeats what an undisturbed one would have
drawn, ranks differ, and evaluation disturbs nothing. The generator is a counter-based hash (two rounds of the
splitmix64 finaliser), vectorised in plain tensor operations, so it runs on any device.
"""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

_GOLDEN = -0x61C8864680B583EB  # 2^64 / golden ratio, as a signed 64-bit number
_MIX1 = -0x40A7B892E31B1A47
_MIX2 = -0x6B2FB644ECCEEE15
_UNIT = 2.0**-24


def _shift(x: Tensor, bits: int) -> Tensor:
    """Logical (not arithmetic) right shift of int64."""
    return (x >> bits) & ((1 << (64 - bits)) - 1)


def _xor_shifted(x: Tensor, bits: int) -> Tensor:
    """``x ^ (x >>> bits)``; in place where it can be, for the time goes into memory."""
    return (x >> bits).bitwise_and_((1 << (64 - bits)) - 1).bitwise_xor_(x)


def _mix(x: Tensor) -> Tensor:
    """The finaliser of splitmix64: a bijection of 64-bit words whose output bits look independent."""
    x = _xor_shifted(x, 30).mul_(_MIX1)
    x = _xor_shifted(x, 27).mul_(_MIX2)
    return _xor_shifted(x, 31)


def _key(*parts: object) -> int:
    """A signed 64-bit key from a tuple of plain values."""
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little", signed=True)


def _words(key: int, positions: Tensor, count: int) -> Tensor:
    """Random 64-bit words (N, count) for the samples at ``positions`` (N,)."""
    streams = _mix((positions + 1) * _GOLDEN ^ key)
    counters = torch.arange(1, count + 1, device=positions.device) * _GOLDEN
    return _mix(_mix(streams[:, None] + counters).bitwise_xor_(key))


class Draws(Protocol):
    """The draws of one phase and repetition. Tests replace it with :class:`RecordedDraws`."""

    def normal(self, name: str, shape: Sequence[int], count: int | None = None) -> Tensor:
        """N(0, 1) per sample: (N, *shape); only the first ``count`` samples if given."""
        ...

    def uniforms(self, name: str, shape: Sequence[int], count: int | None = None) -> Tensor:
        """U[0, 1) per sample: (N, *shape); only the first ``count`` samples if given."""
        ...

    def bernoulli(self, name: str, p: float, shape: Sequence[int], count: int | None = None) -> Tensor:
        """True with probability ``p`` per sample: bool (N, *shape); only the first ``count`` samples if given."""
        ...

    def uniform(self, name: str) -> float:
        """One number in [0, 1) for the whole global batch: the same on every rank."""
        ...


@dataclass(frozen=True)
class KeyedDraws:
    """Draws for one phase and repetition of one iteration.

    Args:
        seed: seed of the run.
        phase: name of the phase.
        repeat: repetition of the phase inside the iteration.
        positions: (N,) int64, global position in the run of each sample of this rank.
        clock: images seen before this iteration; keys what is drawn once a batch.
        dtype: of the tensors handed out; the numbers are drawn in float32.
    """

    seed: int
    phase: str
    repeat: int
    positions: Tensor
    clock: int
    dtype: torch.dtype = torch.float32

    def normal(self, name: str, shape: Sequence[int], count: int | None = None) -> Tensor:
        """N(0, 1) per sample: (N, *shape); only the first ``count`` samples if given."""
        positions = self.positions[:count]
        size = math.prod(shape)
        words = _words(_key(self.seed, self.phase, self.repeat, name), positions, (size + 1) // 2)
        radius = (-2 * ((_shift(words, 40).float() + 0.5) * _UNIT).log()).sqrt()
        angle = (words & 0xFFFFFF).float() * (2 * math.pi * _UNIT)
        normals = torch.cat([radius * angle.cos(), radius * angle.sin()], dim=1)  # Box-Muller
        return normals[:, :size].reshape(len(positions), *shape).to(self.dtype)

    def uniforms(self, name: str, shape: Sequence[int], count: int | None = None) -> Tensor:
        """U[0, 1) per sample: (N, *shape); only the first ``count`` samples if given."""
        positions = self.positions[:count]
        words = _words(_key(self.seed, self.phase, self.repeat, name, "uniforms"), positions, math.prod(shape))
        return (_shift(words, 40).float() * _UNIT).reshape(len(positions), *shape).to(self.dtype)

    def bernoulli(self, name: str, p: float, shape: Sequence[int], count: int | None = None) -> Tensor:
        """True with probability ``p`` (to 2^-16) per sample: bool (N, *shape); only the first ``count`` if given.

        A word decides four times, so that dropout masks cost little.
        """
        positions = self.positions[:count]
        size = math.prod(shape)
        words = _words(_key(self.seed, self.phase, self.repeat, name, "bernoulli"), positions, (size + 3) // 4)
        quarters = words.view(torch.int16)[:, :size]
        return (quarters.int() < round(p * 2**16) - 2**15).reshape(len(positions), *shape)

    def uniform(self, name: str) -> float:
        """One number in [0, 1) for the whole global batch: the same on every rank."""
        return (_key(self.seed, self.phase, self.repeat, name, self.clock) % 2**53) / 2**53


class RecordedDraws:
    """Draws given beforehand, for running an iteration against a reference.

    Args:
        values: for each name the tensor (N, *shape) or number to return.
    """

    def __init__(self, values: dict[str, Tensor | float]) -> None:
        self.values = values

    def normal(self, name: str, shape: Sequence[int], count: int | None = None) -> Tensor:
        """The recorded tensor of this name, checked against the shape asked for."""
        value = self.values[name]
        if not isinstance(value, Tensor) or tuple(value.shape[1:]) != tuple(shape):
            raise ValueError(f"recorded draw {name!r} does not have the shape (N, {', '.join(map(str, shape))})")
        return value[:count]

    def uniforms(self, name: str, shape: Sequence[int], count: int | None = None) -> Tensor:
        """The recorded tensor of this name, checked against the shape asked for."""
        return self.normal(name, shape, count)

    def bernoulli(self, name: str, p: float, shape: Sequence[int], count: int | None = None) -> Tensor:
        """The recorded tensor of this name, checked against the shape asked for."""
        return self.normal(name, shape, count)

    def uniform(self, name: str) -> float:
        """The recorded number of this name."""
        return float(self.values[name])


def sample_normal(seed: int, name: str, n: int, shape: Sequence[int], device: torch.device) -> Tensor:
    """N(0, 1) (n, *shape) keyed by sample index, so that the first samples do not depend on ``n``."""
    return KeyedDraws(seed, "sample", 0, torch.arange(n, device=device), 0).normal(name, shape)
