"""ProgGAN/L1, PIONEER's baseline: a progressive GAN whose discriminator is then retrained as the encoder."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from aestyle.engine.phases import Lazy, Phase, Step
from aestyle.errors import UserError
from aestyle.losses.wasserstein import critic_loss, gradient_penalty
from aestyle.methods.growing import Growing
from aestyle.nets.convolution import differentiated_twice
from aestyle.nets.progan import Critic


class ProGANL1(Growing):
    """ProgGAN/L1: first D and G as a progressive GAN with WGAN-GP; then D alone, which encodes images for G.

    In the second part the generator is the averaged one, as samples are drawn from it, and does not change any more.

    Args:
        discriminator: D.
        gan_kimg: the first part lasts this many thousand images, the second one the rest of the training.
        gradient_penalty: weight of the gradient penalty.
        drift: weight of ``E D(x)^2``, which keeps D's outputs near 0.
        **kwargs: see :class:`~aestyle.methods.growing.Growing`.

    Raises:
        UserError: ``gan_kimg`` is negative, or a weight is.
    """

    network_names = ("generator", "discriminator")
    generator: nn.Module
    discriminator: Critic

    def __init__(
        self,
        discriminator: Critic,
        gan_kimg: float,
        gradient_penalty: float = 10.0,
        drift: float = 0.001,
        **kwargs: Any,
    ) -> None:
        super().__init__(encoder=discriminator, **kwargs)
        for name, value in {"gan_kimg": gan_kimg, "gradient_penalty": gradient_penalty, "drift": drift}.items():
            if value < 0:
                raise UserError(f"method.{name}={value}: give 0 or more")
        self.gan_kimg = gan_kimg
        self.gradient_penalty = gradient_penalty
        self.drift = drift

    @property
    def retraining(self) -> bool:
        """Whether this iteration is one of the second part."""
        return self.images_seen >= round(self.gan_kimg * 1000)

    def milestones(self) -> Sequence[int]:
        """Where networks grow, and where the second part begins."""
        return [*super().milestones(), round(self.gan_kimg * 1000)]

    def phases(self) -> Sequence[Phase]:
        """D and G, or D as the encoder."""
        if self.retraining:
            return [Phase("E", ("discriminator",), self.encoder_loss, optimizer="E")]
        return [
            Phase("D", ("discriminator",), self.discriminator_loss, optimizer="D"),
            Phase("G", ("generator",), self.generator_loss),
        ]

    def optimizer_groups(self) -> Mapping[str, tuple[tuple[str, ...], Lazy | None]]:
        """D has a second one for its second task."""
        return {"D": (("discriminator",), None), "G": (("generator",), None), "E": (("discriminator",), None)}

    def ema_decay(self, name: str, batch_size: int) -> float:
        """The averaged generator stays as it is once the GAN is trained."""
        finished = name == "generator" and self.images_before >= round(self.gan_kimg * 1000)
        return 1.0 if finished else super().ema_decay(name, batch_size)

    def discriminator_loss(self, step: Step) -> Tensor:
        """WGAN-GP: ``E D(G(z)) - E D(x)``, the gradient penalty, and the drift."""
        self.record_stage()
        real = self.shown(step.real)
        with torch.no_grad():
            fake = self.generate(self.generator, self.codes(step))
        scores, fake_scores = self.judge(real), self.judge(fake)
        with differentiated_twice():
            penalty = gradient_penalty(self.judge, real, fake, step.draws.uniforms("share", (), len(real)))
        loss = critic_loss(scores, fake_scores)
        self.record("score/real", scores)
        self.record("score/fake", fake_scores)
        self.record("loss/D", loss)
        self.record("loss/gradient_penalty", penalty)
        return loss + self.gradient_penalty * penalty + self.drift * scores.square().mean()

    def generator_loss(self, step: Step) -> Tensor:
        """``-E D(G(z))``."""
        loss = -self.judge(self.generate(self.generator, self.codes(step))).mean()
        self.record("loss/G", loss)
        return loss

    def encoder_loss(self, step: Step) -> Tensor:
        """The reconstruction error of ``G(D(x))``, D's hidden layer as a code."""
        self.record_stage()
        real = self.shown(step.real)
        rec = self.generate(self.ema["generator"], self.embed(self.discriminator, real))
        error = self.pixel_loss(real, rec)
        self.record("loss/x", error)
        return error

    def judge(self, x: Tensor) -> Tensor:
        """D's outputs (N, 1) with the networks of the stage."""
        return self.discriminator.logits(x, self.stage.phase, self.stage.alpha)
