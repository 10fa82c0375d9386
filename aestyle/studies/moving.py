"""Samples of a model in motion, as IAAE's authors draw them for their scores."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from aestyle.data.transforms import to_uint8
from aestyle.engine.batchnorm import batch_statistics
from aestyle.engine.module import PhasedModule
from aestyle.studies.evaluation import undisturbed


@dataclass
class MovingFakes:
    """The newest samples: a batch of them is drawn after each iteration, with the weights and batch statistics of then.

    They are a set of pictures that stands for samples (see :class:`~aestyle.metrics.recipe.Subject`), the same on every
    rank.

    Args:
        size: how many are kept; the authors keep those of one epoch.
    """

    size: int
    pictures: Tensor | None = None
    """uint8 (n, channels, resolution, resolution), the newest first."""
    name: ClassVar[str] = "samples of a model in motion"

    def __len__(self) -> int:
        return 0 if self.pictures is None else len(self.pictures)

    def batch(self, indices: Sequence[int]) -> Tensor:
        """Those with these numbers, from the newest on: uint8 (n, channels, resolution, resolution)."""
        assert self.pictures is not None
        return self.pictures[list(indices)]

    def draw(self, model: PhasedModule, n: int) -> None:
        """Draws ``n`` samples of the model as it is now; neither it nor any generator is disturbed."""
        seed = int(np.random.SeedSequence((model.seed, model.images_seen)).generate_state(1)[0])
        with undisturbed(model), torch.no_grad(), batch_statistics(model):
            new = to_uint8(model.sample(n, seed)).cpu()
        self.pictures = new if self.pictures is None else torch.cat([new, self.pictures])[: self.size]
