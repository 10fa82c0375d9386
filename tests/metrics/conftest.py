"""A small data set and small models that satisfy the protocol."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from aestyle.data.transforms import to_float
from aestyle.errors import UserError


@dataclass
class TinySet:
    pictures: Tensor
    labels: list[int] | None = None

    def __len__(self) -> int:
        return len(self.pictures)

    def batch(self, indices: Sequence[int]) -> Tensor:
        return self.pictures[list(indices)]

    def batches(self, batch_size: int) -> Iterator[Tensor]:
        yield from self.pictures.split(batch_size)


@dataclass
class TinyData:
    splits: dict[str, TinySet] = field(default_factory=dict)

    def images(self, split: str) -> TinySet:
        if split not in self.splits:
            raise UserError(f"dataset tiny: its {split} split is empty")
        return self.splits[split]

    def record(self) -> dict[str, Any]:
        return {"resolution": 12, "channels": 1, "crop": "center", "filter": "lanczos"}


class TinyModel(nn.Module):
    """An autoencoder whose reconstruction is ``change(x)`` and whose samples are noise."""

    resolution = 12
    channels = 1

    def __init__(self, change: Callable[[Tensor], Tensor] = lambda x: x) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), nn.Dropout())
        self.change = change

    def encode(self, x: Tensor) -> Tensor:
        torch.rand(3)  # a careless model that draws from the global generator
        return x

    def decode(self, code: Tensor, space: str | None = None) -> Tensor:
        return self.change(code)

    def sample(self, n: int, seed: int = 0) -> Tensor:
        shape = (n, self.channels, self.resolution, self.resolution)
        return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def pictures(request: pytest.FixtureRequest) -> Callable[[int], Tensor]:
    """n uint8 pictures (n, 1, 12, 12): random, different in each test, the same in each run of it."""
    generator = torch.Generator().manual_seed(sum(map(ord, request.node.name)))
    return lambda n: torch.randint(0, 256, (n, 1, 12, 12), dtype=torch.uint8, generator=generator)


@pytest.fixture
def data(pictures: Callable[[int], Tensor]) -> TinyData:
    """40 train pictures, 13 test pictures of 3 people, no validation."""
    return TinyData({"train": TinySet(pictures(40)), "test": TinySet(pictures(13), [i % 3 for i in range(13)])})


@pytest.fixture
def originals(data: TinyData) -> Tensor:
    """The test pictures as floats in [-1, 1]."""
    return to_float(data.images("test").pictures)


@pytest.fixture
def make_model() -> type[TinyModel]:
    return TinyModel
