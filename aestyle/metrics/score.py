"""How clearly samples belong to classes, and to how many."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from aestyle.metrics.recipe import Extractor, Measurement, Recipe, Subject

if TYPE_CHECKING:
    from aestyle.data.datamodule import ImageDataModule

SAMPLES = "samples"
"""What results say in place of a split."""


def class_score(logits: Tensor, splits: int = 10) -> float:
    """Score of Salimans et al. (arXiv:1606.03498): exp E KL(p(y|x) || p(y)), from 1 to the number of classes.

    Args:
        logits: (N, classes), finite.
        splits: The pictures are shuffled with a fixed seed and cut into this many parts, whose scores are averaged.
    """
    order = torch.from_numpy(np.random.RandomState(2020).permutation(len(logits)))  # torch-fidelity's shuffle
    log_p = logits.detach().double().cpu()[order].log_softmax(dim=1)
    cuts = [i * len(log_p) // splits for i in range(splits + 1)]
    return float(np.mean([_score(log_p[start:stop]) for start, stop in pairwise(cuts)]))


def _score(log_p: Tensor) -> float:
    log_marginal = log_p.logsumexp(dim=0) - np.log(len(log_p))  # in logs: a class of probability 0 stays finite
    return float((log_p.exp() * (log_p - log_marginal)).sum(dim=1).mean().exp())


@dataclass(frozen=True, kw_only=True)
class SampleScore(Recipe):
    """Class score of samples of the prior; it is "IS" only with the published Inception network.

    Args:
        extractor: Returns logits.
        num_images: How many samples to draw; None draws as many as the train split holds.
        seed: Of the samples.
        splits: Parts whose scores are averaged.
        norm_batch: As for distances of samples.
    """

    higher_is_better = True

    extractor: Extractor
    num_images: int | None
    seed: int = 0
    splits: int = 10
    norm_batch: int | None = None

    def __call__(self, subject: Subject) -> Measurement:
        """Draws the samples and scores them."""
        count = subject.count_samples(self.num_images, reference="train")
        logits = subject.sample_features(self.extractor, count, self.seed, self.norm_batch)
        return Measurement(
            metric=self.name,
            value=class_score(logits, self.splits) if logits.isfinite().all() else float("nan"),
            split=SAMPLES,
            num_images=len(logits),
            seed=self.seed,
            extractor=self.extractor.name,
            resize=self.extractor.resize,
        )

    def check(self, data: ImageDataModule) -> None:
        """Refuses an extractor without its weights (UserError)."""
        _ = self.extractor.name
