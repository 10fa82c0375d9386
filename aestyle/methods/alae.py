"""ALAE (Pidhorskyi et al., 2020) on the StyleGAN2 backbone, as AE-StyleGAN's authors compare with it."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from aestyle.engine.phases import Lazy, Phase, Step
from aestyle.methods.style_autoencoder import StyleAutoencoder


class ALAE(StyleAutoencoder):
    """Adversarial latent autoencoder: D and E; R1; F and G; path length; E (and G) reconstruct the code.

    The discriminator judges codes: images reach it through E, so that E is half of the discriminator and is not shown
    how to reconstruct an image.

    Args:
        train_mapping: F learns to be reconstructed too, through G's input, as in the original ALAE; AE-StyleGAN's
            official code leaves it out.
        **kwargs: see :class:`~aestyle.methods.style_autoencoder.StyleAutoencoder`; ``discriminator`` is a
            :class:`~aestyle.nets.latent.LatentDiscriminator`.
    """

    def __init__(self, train_mapping: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.train_mapping = train_mapping

    def phases(self) -> Sequence[Phase]:
        """Reconstruction comes last."""
        networks = (*self.reconstructing, *(["mapping"] if self.train_mapping else []))
        latent = Phase("L", networks, self.latent_loss, repeat=self.e_steps)
        return [*self.discriminator_phases(), *self.generator_phases(), latent]

    def discriminator_phases(self) -> list[Phase]:
        """D and E together, and their lazy R1."""
        return [
            Phase(phase.name, ("discriminator", "encoder"), phase.loss, phase.every)
            for phase in super().discriminator_phases()
        ]

    def optimizer_groups(self) -> dict[str, tuple[tuple[str, ...], Lazy | None]]:
        """E's rate is not corrected for R1, as in the official code."""
        return {**super().optimizer_groups(), "E": (("encoder",), None)}

    def discriminate(self, step: Step, **batches: Tensor) -> list[Tensor]:
        """``D(E(x))`` for each batch."""
        images = [self.augment(x, step.draws, name) for name, x in batches.items()]
        codes = self.encoder(torch.cat(images) if len(images) > 1 else images[0])
        return list(self.discriminator(codes).split([len(x) for x in images]))
