"""Features of real pictures on the disk: found again, and never for other pictures."""

import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from aestyle.data.datamodule import ImageDataModule
from aestyle.data.sources import ImageFolder
from aestyle.data.splits import FractionSplit
from aestyle.metrics.cache import FeatureCache
from aestyle.metrics.recipe import Subject


@dataclass(frozen=True)
class Counting:
    """The pixels themselves; ``calls`` says how often they were asked for."""

    calls: list[int]
    name: str = "pixels"
    resize: str = "none"
    num_features: int = 48

    def __call__(self, x: Tensor) -> Tensor:
        self.calls.append(len(x))
        return x.flatten(1)

    def __hash__(self) -> int:
        return id(self.calls)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "pictures").mkdir()
    for i in range(9):
        write(tmp_path / "pictures" / f"{i}.png")
    return tmp_path / "pictures"


def write(path: Path) -> None:
    Image.fromarray(np.random.default_rng().integers(0, 256, (6, 6, 3), dtype=np.uint8)).save(path)


def features(folder: Path, extractor: Counting, split: str = "train", limit: int | None = None, **options) -> Tensor:
    given = {"resolution": 4, "channels": 3, **options}
    data = ImageDataModule("x", ImageFolder(folder), FractionSplit(0, 0.3), batch_size=1, seed=0, **given)
    cache = FeatureCache(folder.parent / "cache")
    return Subject(None, data, cache=cache).features(extractor, split, limit)


def test_the_second_evaluation_computes_nothing(folder: Path) -> None:
    extractor = Counting([])
    first = features(folder, extractor)
    calls = len(extractor.calls)
    assert calls > 0
    assert torch.equal(features(folder, extractor), first)
    assert len(extractor.calls) == calls


@pytest.mark.parametrize(
    "change",
    [
        {"split": "test"},
        {"limit": 3},
        {"resolution": 2},
        {"channels": 1},
        {"crop": "stretch"},
        {"filter": "box"},
        {"extractor": "name"},
        {"extractor": "resize"},
        "another picture",
        "one more picture",
    ],
    ids=str,
)
def test_nothing_is_used_for_another_question(folder: Path, change: object) -> None:
    extractor = Counting([])
    features(folder, extractor)
    calls, options = len(extractor.calls), {}
    if change == "another picture":
        write(folder / "4.png")
        os.utime(folder / "4.png", ns=(1, 1))  # another time even where the clock is coarse
    elif change == "one more picture":
        for i in range(10, 20):
            write(folder / f"{i}.png")
    elif "extractor" in change:
        extractor = replace(extractor, **{change["extractor"]: "other"})
    else:
        options = change
    fresh = features(folder, extractor, **options)
    assert len(extractor.calls) > calls
    assert torch.equal(features(folder, extractor, **options), fresh)


def test_a_truncated_file_is_made_again(folder: Path) -> None:
    extractor = Counting([])
    first = features(folder, extractor)
    (file,) = (folder.parent / "cache").iterdir()
    file.write_bytes(file.read_bytes()[:-20])
    assert torch.equal(features(folder, extractor), first)
    calls = len(extractor.calls)
    features(folder, extractor)
    assert len(extractor.calls) == calls


def test_a_cache_that_cannot_be_written_costs_time_only(folder: Path) -> None:
    (folder.parent / "cache").write_text("in the way")
    extractor = Counting([])
    assert torch.equal(features(folder, extractor), features(folder, extractor))
