"""Does a reconstruction still show the same person, or the same picture?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from aestyle.errors import UserError
from aestyle.metrics.recipe import Extractor, Measurement, Recipe, Subject, spaced

if TYPE_CHECKING:
    from aestyle.data.datamodule import ImageDataModule


@dataclass(frozen=True, kw_only=True)
class SameIdentity(Recipe):
    """Share (0 to 1) of reconstructions whose nearest original of the split carries the same label.

    Nearest means the highest cosine similarity of the features; a reconstruction's own original is among the
    candidates, so exact copies reach 1. Chance is the share of pictures that one label has.

    Args:
        extractor: The feature network with its resize filter.
        num_images: At most this many pictures, evenly spaced; None takes all of the split.
    """

    higher_is_better = True

    extractor: Extractor
    num_images: int | None = None

    def __call__(self, subject: Subject) -> Measurement:
        """Compares each reconstruction with all originals of the split."""
        labels = torch.tensor(self._labels(subject.data))
        labels = labels[spaced(len(labels), self.num_images)]
        originals = subject.features(self.extractor, self.split, self.num_images)
        rec = subject.reconstruction_features(self.extractor, self.split, self.num_images)
        same = labels[nearest(rec, originals).cpu()] == labels
        return Measurement(
            metric=self.name,
            value=float(same.double().mean()) if rec.isfinite().all() else float("nan"),
            split=self.split,
            num_images=len(same),
            extractor=self.extractor.name,
            resize=self.extractor.resize,
            reference=self.split,
        )

    def check(self, data: ImageDataModule) -> None:
        """Refuses data without labels (UserError)."""
        self._labels(data)

    def _labels(self, data: ImageDataModule) -> list[int]:
        labels = data.images(self.split).labels
        if labels is None:
            raise UserError(f"metric {self.name} needs labels: put the pictures of each person into one subfolder")
        return labels


@dataclass(frozen=True, kw_only=True)
class SameOriginal(SameIdentity):
    """Share (0 to 1) of reconstructions whose nearest original is their own. Chance is 1 / number of pictures."""

    num_images: int | None = 100

    def _labels(self, data: ImageDataModule) -> list[int]:
        return list(range(len(data.images(self.split))))


def nearest(queries: Tensor, candidates: Tensor) -> Tensor:
    """Indices (N,) of the candidates (M, D) with the highest cosine similarity to each query (N, D)."""
    return (F.normalize(queries) @ F.normalize(candidates).T).argmax(dim=1)
