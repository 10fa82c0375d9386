"""Several processes that measure one subject together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

T = TypeVar("T")


@dataclass(frozen=True)
class Share:
    """The part of the batches that falls to this process: every ``count``-th one.

    Args:
        rank: Which process this is.
        count: How many there are; with 1 nothing is sent anywhere.
    """

    rank: int = 0
    count: int = 1

    def of(self, batches: Sequence[T]) -> Sequence[T]:
        """Those of ``batches`` that are this process's."""
        return batches[self.rank :: self.count]

    def gather(self, parts: Sequence[Tensor]) -> Tensor:
        """All processes' results, one tensor a batch, as one tensor on the CPU in the order of the batches.

        Every process must call it, and gets the same.
        """
        everyones = self.exchange([part.cpu() for part in parts])
        return torch.cat([everyones[i % self.count][i // self.count] for i in range(sum(map(len, everyones)))])

    def exchange(self, mine: T) -> list[T]:
        """What each process says, by rank."""
        if self.count == 1:
            return [mine]
        said: list[T | None] = [None] * self.count
        dist.all_gather_object(said, mine)
        return said  # type: ignore[return-value]
