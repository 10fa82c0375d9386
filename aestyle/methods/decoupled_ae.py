"""Decoupled AE-StyleGAN (Han et al., 2021), Algorithm 1: E learns beside a StyleGAN2, with its own D."""

from collections.abc import Sequence
from copy import deepcopy
from functools import partial
from typing import Any

from torch import Tensor

from aestyle.engine.phases import Lazy, Phase, Step
from aestyle.losses.adversarial import discriminator_loss
from aestyle.methods.ae_stylegan import AEStyleGAN
from aestyle.nets.discriminator import Discriminator


class DecoupledAE(AEStyleGAN):
    """Decoupled AE-StyleGAN: D1; R1; D2 and E (``e_steps`` times each); F and G; path length.

    D1 is ``discriminator`` and sees samples, D2 is ``rec_discriminator`` and sees reconstructions. With
    ``joint=False``, the paper's form, F, G and D1 are those of a StyleGAN2 of the same seed, bit for bit (section 3.2).
    With ``joint=True``, G reconstructs too (a row of Table 4).

    Args:
        rec_discriminator: discriminator D2 of reconstructions.
        joint: G is trained to reconstruct too.
        **kwargs: see :class:`~aestyle.methods.ae_stylegan.AEStyleGAN`.
    """

    network_names = (*AEStyleGAN.network_names, "rec_discriminator")

    def __init__(self, rec_discriminator: Discriminator, joint: bool = False, **kwargs: Any) -> None:
        super().__init__(joint=joint, **kwargs)
        self.rec_discriminator = rec_discriminator
        self.rec_augment = deepcopy(self.augment)

    def phases(self) -> Sequence[Phase]:
        """Step I: D1 and D2. Step II: E. Step III: F and G."""
        return [
            *self.discriminator_phases(),
            *self.rec_discriminator_phases(),
            *self.autoencoder_phases(),
            *self.generator_phases(),
        ]

    def rec_discriminator_phases(self) -> list[Phase]:
        """D2 and its lazy R1."""
        phases = [Phase("D2", ("rec_discriminator",), self.rec_discriminator_loss, repeat=self.e_steps)]
        if self.r1:
            loss = partial(self.r1_loss, discriminate=self.discriminate_rec, name="loss/r1_D2")
            phases.append(Phase("D2_r1", ("rec_discriminator",), loss, every=self.r1.every))
        return phases

    def optimizer_groups(self) -> dict[str, tuple[tuple[str, ...], Lazy | None]]:
        """D1 and D2 have an optimizer each, as in the official code."""
        return {**super().optimizer_groups(), "D2": (("rec_discriminator",), self.r1)}

    def rec_discriminator_loss(self, step: Step) -> Tensor:
        """Equation 4 with the reconstructions G(E(x)) that it is about (it prints G o F)."""
        real, rec = self.discriminate_rec(step, real=step.real, rec=self.reconstruct(step))
        self.record("score/real_D2", real)
        self.record("score/rec", rec)
        for name, value in self.rec_augment.observe(real).items():
            self.record(f"{name}_D2", value)
        loss = discriminator_loss(real, (rec, 1.0))
        self.record("loss/D2", loss)
        return loss

    def discriminate_rec(self, step: Step, **batches: Tensor) -> list[Tensor]:
        """D2's logits."""
        images = (self.rec_augment(x, step.draws, name) for name, x in batches.items())
        return self.rec_discriminator.together(*images)
