"""ALI (Dumoulin et al., 2017): an encoder and a decoder against a discriminator of pairs of image and code."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from aestyle.engine.phases import Lazy, Phase, Step
from aestyle.losses.adversarial import discriminator_loss, fake_loss, real_loss
from aestyle.methods.gaussian_autoencoder import GaussianAutoencoder
from aestyle.nets.ali import PairDiscriminator


class ALI(GaussianAutoencoder):
    """Algorithm 1 of ALI: D, then E and Dec together; nothing asks for reconstructions.

    D tells ``(x, E(x))``, an image with a code drawn from its posterior, from ``(Dec(z), z)``.

    Args:
        discriminator: D, of pairs.
        **kwargs: see :class:`~aestyle.methods.gaussian_autoencoder.GaussianAutoencoder`; the pixel loss is only
            recorded.
    """

    def __init__(self, discriminator: PairDiscriminator, **kwargs: Any) -> None:
        super().__init__(discriminator=discriminator, **kwargs)
        self.keep = 1 - discriminator.dropout
        self.mask_shape = (sum(discriminator.linear_inputs),)

    def phases(self) -> Sequence[Phase]:
        """The algorithm updates all networks from one pass; here D goes first."""
        return [
            Phase("D", ("discriminator",), self.discriminator_loss),
            Phase("AE", ("encoder", "decoder"), self.autoencoder_loss),
        ]

    def optimizer_groups(self) -> dict[str, tuple[tuple[str, ...], Lazy | None]]:
        """One for D, one for the others."""
        return {"D": (("discriminator",), None), "AE": (("encoder", "decoder"), None)}

    def discriminator_loss(self, step: Step) -> Tensor:
        """``-E log D(x, E(x)) - E log(1 - D(Dec(z), z))``."""
        with torch.no_grad():
            pairs = self.pairs(step)
        real, fake = self.judge(step, *pairs)
        loss = discriminator_loss(real, (fake, 1.0))
        self.record("score/real", real)
        self.record("score/fake", fake)
        self.record("loss/D", loss)
        return loss

    def autoencoder_loss(self, step: Step) -> Tensor:
        """Both sides changed over, non-saturating: ``-E log(1 - D(x, E(x))) - E log D(Dec(z), z)``."""
        real, fake = self.judge(step, *self.pairs(step))
        loss = fake_loss(real) + real_loss(fake)
        self.record("loss/AE_adv", loss)
        return loss

    def pairs(self, step: Step) -> tuple[Tensor, Tensor]:
        """Images and codes (2N, ...) of both kinds of pairs: those of real images first."""
        posterior = self.encoder(step.real)
        self.record_posterior(posterior)
        z = self.draw_prior(step.draws)
        fake = self.decoder(z)
        return torch.cat([step.real, fake]), torch.cat([self.sample_code(posterior, step.draws), z])

    def judge(self, step: Step, x: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        """D's logits (N, 1) on both kinds of pairs, in one pass as in the authors' code."""
        masks = [step.draws.bernoulli(f"keep_{kind}", self.keep, self.mask_shape) for kind in ("real", "fake")]
        real, fake = self.discriminator(x, z, torch.cat(masks)).chunk(2)
        return real, fake
