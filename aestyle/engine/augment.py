"""What happens to every image on its way into the discriminator: nothing, or augmentation with a probability p.

D never sees anything else than augmented images: real ones, samples and reconstructions, in its own steps (R1
included) as in those of E, F and G.
"""

from typing import Protocol

import torch
from torch import Tensor, nn

from aestyle.engine.ada_pipe import augment
from aestyle.engine.distributed import sum_over_ranks
from aestyle.engine.draws import Draws
from aestyle.errors import UserError


class Augment(Protocol):
    """An augmentation of one discriminator's input: differentiable twice, drawn per image, blind to real and fake."""

    def __call__(self, images: Tensor, draws: Draws, name: str) -> Tensor:
        """Images (N, C, H, W) in [-1, 1] to images of the same shape; ``name`` keys the draws of this batch."""
        ...

    def observe(self, real: Tensor) -> dict[str, Tensor]:
        """Learns D's logits on the augmented real images of an iteration; gives back what is worth recording."""
        ...


class NoAugment:
    """Leaves images as they are."""

    def __call__(self, images: Tensor, draws: Draws, name: str) -> Tensor:
        """The images themselves."""
        return images

    def observe(self, real: Tensor) -> dict[str, Tensor]:
        """Nothing to learn, nothing to record."""
        return {}


class FixedAugment:
    """Augments with a constant probability.

    Args:
        p: probability of each transformation of :func:`~aestyle.engine.ada_pipe.augment`, in [0, 1].

    Raises:
        UserError: ``p`` is no probability.
    """

    def __init__(self, p: float) -> None:
        if not 0 <= p <= 1:
            raise UserError(f"method.augment.p={p}: give a probability from 0 to 1")
        self.p = p

    def __call__(self, images: Tensor, draws: Draws, name: str) -> Tensor:
        """Augmented images; see :func:`~aestyle.engine.ada_pipe.augment`."""
        return augment(images, self.p, draws, name)

    def observe(self, real: Tensor) -> dict[str, Tensor]:
        """Nothing to learn, nothing to record."""
        return {}


class AdaptiveAugment(nn.Module):
    """Adaptive discriminator augmentation (Karras et al., 2020, section 3): p follows how far D overfits.

    The heuristic is ``r_t = E sign(D(real))``, over the real images of all ranks since the last adjustment. Above the
    target p grows, below it shrinks, by as many images as were seen. One object serves one discriminator. Its whole
    state is integer buffers (p is counted in images), so that no precision setting touches it, checkpoints hold it
    exactly, and every rank has the same.

    Args:
        target: r_t at which p rests.
        speed_kimg: p moves from 0 to 1 within this many thousand images at the fastest.
        interval: D steps between adjustments: 4 in the paper's code, 8 in the one AE-StyleGAN is built on.
        start: p at the beginning.

    Raises:
        UserError: an option is out of range.
    """

    level: Tensor
    signs: Tensor
    seen: Tensor
    steps: Tensor

    def __init__(self, target: float = 0.6, speed_kimg: float = 500, interval: int = 4, start: float = 0.0) -> None:
        super().__init__()
        if not -1 <= target <= 1:
            raise UserError(f"method.augment.target={target}: it is a mean of signs, give a number from -1 to 1")
        if speed_kimg < 0.001:
            raise UserError(f"method.augment.speed_kimg={speed_kimg}: give a number of thousand images above 0")
        if interval < 1:
            raise UserError(f"method.augment.interval={interval}: give a number of D steps, at least 1")
        if not 0 <= start <= 1:
            raise UserError(f"method.augment.start={start}: give a probability from 0 to 1")
        self.target = target
        self.full = round(1000 * speed_kimg)
        self.interval = interval
        for name in ("level", "signs", "seen", "steps"):
            self.register_buffer(name, torch.zeros((), dtype=torch.int64))
        self.level += round(start * self.full)

    @property
    def p(self) -> float:
        """Probability of each transformation, in [0, 1]."""
        return int(self.level) / self.full

    def forward(self, images: Tensor, draws: Draws, name: str) -> Tensor:
        """Augmented images; see :func:`~aestyle.engine.ada_pipe.augment`."""
        return augment(images, self.p, draws, name)

    @torch.no_grad()
    def observe(self, real: Tensor) -> dict[str, Tensor]:
        """Counts the signs of D's logits on real images; adjusts p in every ``interval``-th call.

        Args:
            real: this rank's logits, of any shape; those that are not numbers count as neither real nor fake.

        Returns:
            ``health/ada_p``.
        """
        signs = real.detach().nan_to_num(nan=0.0).sign().long()
        counts = sum_over_ranks(torch.stack([signs.sum(), torch.full_like(signs.sum(), signs.numel())]))
        self.signs += counts[0]
        self.seen += counts[1]
        self.steps += 1
        if int(self.steps) >= self.interval:
            self._adjust()
        return {"health/ada_p": torch.tensor(self.p)}

    def _adjust(self) -> None:
        """Moves p by the images seen since the last time, toward more where D is surer than the target."""
        direction = (self.signs / self.seen - self.target).sign().long()
        self.level.copy_((self.level + direction * self.seen).clamp(0, self.full))
        for counter in (self.signs, self.seen, self.steps):
            counter.zero_()
