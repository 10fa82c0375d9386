"""The adversarial autoencoder (Makhzani et al., 2015), and the changes to it that IAAE (Yang et al., 2021) tries."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call

from aestyle.engine.distributed import moments_over_ranks
from aestyle.engine.phases import Lazy, Phase, Step
from aestyle.losses.adversarial import discriminator_loss, real_loss
from aestyle.losses.gaussian import kl_from_prior, kl_to_prior, printed_kld
from aestyle.losses.reconstruction import l1
from aestyle.methods.gaussian_autoencoder import GaussianAutoencoder
from aestyle.nets.aae import CodeDiscriminator
from aestyle.nets.posterior import Posterior


@dataclass(frozen=True)
class KLD:
    """KLD-loss-IAAE (section 5.2): the codes of all images are drawn toward the prior by a divergence.

    The paper adds it to the loss of D, on which it does not depend: D is trained as without it, and so is everything
    else. By default it stands where it has an effect, in the encoder's adversarial step, in closed form: between the
    prior and the Gaussian with mean and variance of the codes of the whole batch.

    Args:
        weight: 0.1 in the code, 1 in print.
        from_prior: ``KL(prior || codes)``, the printed order; else ``KL(codes || prior)``, that of a VAE.
        legacy: the authors' code: in the loss of D, without effect.
    """

    weight: float = 0.1
    from_prior: bool = False
    legacy: bool = False

    def of_moments(self, posterior: Posterior) -> Tensor:
        """The divergence of the aggregate posterior's moments, which are those of all ranks together."""
        mean, variance = moments_over_ranks(posterior.mu)
        variance = variance + moments_over_ranks(posterior.sigma.square())[0]
        return (kl_from_prior if self.from_prior else kl_to_prior)(mean, variance)


@dataclass(frozen=True)
class FeatureError:
    """feature-IAAE (section 5.3): part of the reconstruction error is measured between codes, ``|E(x) - E(rec)|``.

    Args:
        pixel: weight of the pixel loss.
        feature: weight of the mean absolute difference of mu.
        freeze_encoder: in this term, E is a fixed measure; else it learns from it, too. The paper does not say.
    """

    pixel: float = 0.9
    feature: float = 0.1
    freeze_encoder: bool = False


class AAE(GaussianAutoencoder):
    """AAE: E and Dec reconstruct; D tells the prior from codes; E deceives D. Each has an Adam of its own.

    A variant of IAAE changes one part. Latent mapping and equal-linear are changes of the networks, n-iter is
    ``d_steps``; the others are ``kld`` and ``feature``.

    Args:
        d_steps: steps of D an iteration, on the same images with new draws (n-iter-IAAE; 3 in the code).
        kld: KLD-loss-IAAE; None leaves it out.
        feature: feature-IAAE; None leaves it out.
        posterior_kl: weight of ``E KL(q(z|x) || prior)`` in the encoder's adversarial step: it keeps each sigma from
            collapsing, of which the adversarial loss sees only the aggregate; 0 leaves it out.
        **kwargs: see :class:`~aestyle.methods.gaussian_autoencoder.GaussianAutoencoder`; ``discriminator`` is a
            :class:`~aestyle.nets.aae.CodeDiscriminator`.
    """

    def __init__(
        self,
        discriminator: CodeDiscriminator,
        d_steps: int = 1,
        kld: KLD | None = None,
        feature: FeatureError | None = None,
        posterior_kl: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(discriminator=discriminator, **kwargs)
        self.dropout = discriminator.dropout
        self.dropout_shape = (sum(discriminator.widths),)
        self.d_steps = d_steps
        self.kld = kld
        self.feature = feature
        self.posterior_kl = posterior_kl

    def phases(self) -> Sequence[Phase]:
        """The order of the authors' code."""
        return [
            Phase("AE", ("encoder", "decoder"), self.autoencoder_loss, optimizer="AE"),
            Phase("D", ("discriminator",), self.discriminator_loss, repeat=self.d_steps),
            Phase("E", ("encoder",), self.encoder_loss, optimizer="E"),
        ]

    def optimizer_groups(self) -> dict[str, tuple[tuple[str, ...], Lazy | None]]:
        """E has two: one for reconstructing, one for deceiving."""
        return {"AE": (("encoder", "decoder"), None), "D": (("discriminator",), None), "E": (("encoder",), None)}

    def autoencoder_loss(self, step: Step) -> Tensor:
        """The pixel loss, mixed with the feature error where there is one."""
        posterior = self.encoder(step.real)
        rec = self.decoder(self.sample_code(posterior, step.draws))
        self.record_posterior(posterior)
        pixel = self.pixel_loss(step.real, rec)
        self.record("loss/pixel", pixel)
        if self.feature is None:
            return pixel
        feature = self.feature_error(posterior.mu, rec, self.feature.freeze_encoder)
        self.record("loss/feature", feature)
        return self.feature.pixel * pixel + self.feature.feature * feature

    def feature_error(self, mu: Tensor, rec: Tensor, freeze_encoder: bool) -> Tensor:
        """``|E_mu(x) - E_mu(rec)|`` per element; the second look leaves the encoder's running statistics alone."""
        parameters: dict[str, Tensor] = dict(self.encoder.named_parameters())
        if freeze_encoder:
            mu, parameters = mu.detach(), {name: p.detach() for name, p in parameters.items()}
        buffers = {name: buffer.clone() for name, buffer in self.encoder.named_buffers()}
        return l1(mu, functional_call(self.encoder, {**parameters, **buffers}, rec).mu)

    def discriminator_loss(self, step: Step) -> Tensor:
        """``-E log D(z) - E log(1 - D(E(x)))``; in the logs, codes of the prior are the real ones."""
        with torch.no_grad():
            codes = self.sample_code(self.encoder(step.real), step.draws)
        prior = self.draw_prior(step.draws)
        real, fake = self.discriminate(step, prior=prior, posterior=codes)
        self.record("score/real", real)
        self.record("score/fake", fake)
        loss = discriminator_loss(real, (fake, 1.0))
        self.record("loss/D", loss)
        if self.kld and self.kld.legacy:
            kld = printed_kld(codes, prior)
            self.record("loss/kld", kld)
            loss = loss + self.kld.weight * kld
        return loss

    def encoder_loss(self, step: Step) -> Tensor:
        """Non-saturating ``-E log D(E(x))``, and what else draws the codes toward the prior."""
        posterior = self.encoder(step.real)
        (logits,) = self.discriminate(step, posterior=self.sample_code(posterior, step.draws))
        loss = real_loss(logits)
        self.record("loss/E_adv", loss)
        if self.kld and not self.kld.legacy:
            kld = self.kld.of_moments(posterior)
            self.record("loss/kld", kld)
            loss = loss + self.kld.weight * kld
        if self.posterior_kl > 0:
            kl = kl_to_prior(posterior.mu, posterior.sigma.square()).mean()
            self.record("loss/posterior_kl", kl)
            loss = loss + self.posterior_kl * kl
        return loss

    def discriminate(self, step: Step, **batches: Tensor) -> list[Tensor]:
        """D's logits (N, 1) on each batch of codes, with dropout keyed by the batch's name."""
        keep = [step.draws.bernoulli(f"keep_{name}", 1 - self.dropout, self.dropout_shape) for name in batches]
        logits = self.discriminator(torch.cat(list(batches.values())), torch.cat(keep))
        return list(logits.chunk(len(batches)))
