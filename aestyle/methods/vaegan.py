"""VAE-GAN (Larsen et al., 2016): what IAAE's Figure 4 compares AAE with."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from aestyle.engine.phases import Lazy, Phase, Step
from aestyle.losses.adversarial import discriminator_loss, generator_loss
from aestyle.losses.gaussian import kl_to_prior
from aestyle.losses.reconstruction import mse
from aestyle.methods.gaussian_autoencoder import GaussianAutoencoder


class VAEGAN(GaussianAutoencoder):
    """Algorithm 1 of VAE-GAN: E, then Dec, then D; images are alike where D's inner features are.

    Args:
        gamma: weight of the feature error against the adversarial loss in Dec's step.
        kl: weight of ``KL(q(z|x) || prior)``, a sum over the code's dimensions, against the feature error, a mean over
            features.
        **kwargs: see :class:`~aestyle.methods.gaussian_autoencoder.GaussianAutoencoder`; ``discriminator`` is a
            :class:`~aestyle.nets.aae_conv.FeatureDiscriminator`, and the pixel loss is only recorded.
    """

    def __init__(self, gamma: float = 1.0, kl: float = 0.001, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.gamma = gamma
        self.kl = kl

    def phases(self) -> Sequence[Phase]:
        """One network after the other; the algorithm updates them from one pass."""
        return [
            Phase("E", ("encoder",), self.encoder_loss),
            Phase("Dec", ("decoder",), self.decoder_loss),
            Phase("D", ("discriminator",), self.discriminator_loss),
        ]

    def optimizer_groups(self) -> dict[str, tuple[tuple[str, ...], Lazy | None]]:
        """One each."""
        return {"E": (("encoder",), None), "Dec": (("decoder",), None), "D": (("discriminator",), None)}

    def encoder_loss(self, step: Step) -> Tensor:
        """``L_prior + L_llike``."""
        posterior = self.encoder(step.real)
        self.record_posterior(posterior)
        rec = self.decoder(self.sample_code(posterior, step.draws))
        self.record("loss/pixel", self.pixel_loss(step.real, rec))
        kl = kl_to_prior(posterior.mu, posterior.sigma.square()).mean()
        error = self.feature_error(step, self.discriminator(rec)[1])
        self.record("loss/kl", kl)
        self.record("loss/feature", error)
        return self.kl * kl + error

    def decoder_loss(self, step: Step) -> Tensor:
        """``gamma L_llike - L_GAN``, non-saturating, of reconstructions and of samples."""
        rec, fake = self.pictures(step)
        rec_logits, rec_features = self.discriminator(rec)
        adv = generator_loss(rec_logits) + generator_loss(self.discriminator(fake)[0])
        self.record("loss/Dec_adv", adv)
        return self.gamma * self.feature_error(step, rec_features) + adv

    def discriminator_loss(self, step: Step) -> Tensor:
        """``-log D(x) - log(1 - D(Dec(z))) - log(1 - D(Dec(E(x))))``."""
        with torch.no_grad():
            pictures = self.pictures(step)
        logits = [self.discriminator(x)[0] for x in (step.real, *pictures)]
        for name, value in zip(("real", "rec", "fake"), logits, strict=True):
            self.record(f"score/{name}", value)
        loss = discriminator_loss(logits[0], (logits[1], 1.0), (logits[2], 1.0))
        self.record("loss/D", loss)
        return loss

    def pictures(self, step: Step) -> tuple[Tensor, Tensor]:
        """Reconstructions and samples; E takes no gradient through its code."""
        with torch.no_grad():
            codes = self.sample_code(self.encoder(step.real), step.draws)
        return self.decoder(codes), self.decoder(self.draw_prior(step.draws))

    def feature_error(self, step: Step, rec_features: Tensor) -> Tensor:
        """``L_llike``: mean squared error between features of images and of their reconstructions."""
        with torch.no_grad():
            features = self.discriminator(step.real)[1]
        return mse(features, rec_features)
