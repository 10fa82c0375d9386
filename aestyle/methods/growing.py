"""What methods whose networks grow have in common."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from aestyle.engine.growth import Growth, Stage
from aestyle.errors import UserError
from aestyle.methods.sphere_autoencoder import SphereAutoencoder
from aestyle.nets.pioneer import faded


class Growing(SphereAutoencoder):
    """Networks, images and batch sizes that follow a :class:`~aestyle.engine.growth.Growth`.

    Args:
        growth: when they grow.
        **kwargs: see :class:`~aestyle.methods.sphere_autoencoder.SphereAutoencoder`.

    Raises:
        UserError: ``growth`` and the networks disagree about the resolution.
    """

    def __init__(self, growth: Growth, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if growth.resolution != self.resolution:
            raise UserError(f"method.growth.resolution={growth.resolution}: the networks have {self.resolution}")
        self.growth = growth

    @property
    def stage(self) -> Stage:
        """Where the growth is, by the clock."""
        return self.growth.at(self.images_seen)

    def batch_sizes(self, batch_size: int) -> Mapping[int, int]:
        """By the phase."""
        return self.growth.batches(batch_size)

    def milestones(self) -> Sequence[int]:
        """Where networks grow."""
        return list(self.growth.batches(1))

    def record_stage(self) -> None:
        """Puts the size and the fade among the statistics."""
        self.record("health/resolution", torch.tensor(float(self.stage.resolution)))
        self.record("health/alpha", torch.tensor(self.stage.alpha))

    def generate(self, generator: nn.Module, z: Tensor) -> Tensor:
        """With the networks of the stage."""
        image: Tensor = generator(z, self.stage.phase, self.stage.alpha)
        return image

    def embed(self, encoder: nn.Module, x: Tensor) -> Tensor:
        """With the networks of the stage."""
        codes: Tensor = encoder(x, self.stage.phase, self.stage.alpha)
        return codes

    def shown(self, real: Tensor) -> Tensor:
        """Reduced to the stage's size; while a phase fades in, mixed with what was shown in the phase before."""
        stage = self.stage
        x = F.avg_pool2d(real, real.shape[-1] // stage.resolution)
        if stage.phase and not stage.stable:
            x = faded(x, F.interpolate(F.avg_pool2d(x, 2), scale_factor=2, mode="nearest"), stage.alpha)
        return x
