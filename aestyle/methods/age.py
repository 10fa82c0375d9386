"""AGE (Ulyanov et al., 2018): a game between an encoder and a generator, without a discriminator."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from aestyle.engine.distributed import moments_over_ranks
from aestyle.engine.draws import Draws
from aestyle.engine.phases import Lazy, Phase, Step
from aestyle.engine.schedule import step_at
from aestyle.errors import UserError
from aestyle.losses.encoder_game import code_mismatch, historical_moment_kl, moment_kl, sphere_kl_floor
from aestyle.methods.sphere_autoencoder import SphereAutoencoder


@dataclass(frozen=True)
class GameWeights:
    """Weights of the encoder's and the generator's loss (Equations 4 and 6 of PIONEER), as the released codes count.

    Args:
        kl: of the divergences, each the mean over the code's d dimensions. The paper sums over them: its 1 is d here.
        x: of the reconstruction of images, in the encoder's loss.
        x_boost: ``x`` is multiplied by this late in the training (in each stable half of PIONEER's phases).
        z: of the reconstruction of codes, in the generator's loss: of ``2 - cos / d``.
        literal_z: multiplies ``z`` by d: lambda_Z = 1000 d to the letter, which no released code has.
    """

    kl: float = 1.0
    x: float = 10.0
    x_boost: float = 1.5
    z: float = 1000.0
    literal_z: bool = False


class AGE(SphereAutoencoder):
    """AGE: E; then G, ``g_steps`` times. Codes are points of the unit sphere.

    E pulls the codes of real images toward the uniform distribution and pushes those of generated ones away from it; G
    does the opposite. E also makes G reconstruct images, G makes E reconstruct codes.

    Args:
        weights: weights of the loss terms.
        g_steps: steps of G an iteration, each on new codes.
        g_lr: G's learning rate; None: ``lr``.
        legacy_kl: the divergence of AGE's released code, which has the variance where sigma belongs.
        boost_kimg: from here on images weigh ``x_boost`` times as much; None: never.
        lr_steps: factors on the learning rate, by the thousand images from which on they hold.
        batch_steps: images an iteration, by the thousand images from which on they hold; before, the run's
            ``batch_size``.
        **kwargs: see :class:`~aestyle.methods.sphere_autoencoder.SphereAutoencoder`.

    Raises:
        UserError: ``g_steps`` is not positive.
    """

    network_names = ("generator", "encoder")
    generator: nn.Module
    encoder: nn.Module

    def __init__(
        self,
        weights: GameWeights | None = None,
        g_steps: int = 2,
        g_lr: float | None = None,
        legacy_kl: bool = False,
        boost_kimg: float | None = None,
        lr_steps: Mapping[float, float] | None = None,
        batch_steps: Mapping[float, int] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if g_steps < 1:
            raise UserError(f"method.g_steps={g_steps}: give a whole number of at least 1")
        self.weights = weights or GameWeights()
        self.g_steps = g_steps
        self.g_lr = g_lr
        self.kl = historical_moment_kl if legacy_kl else moment_kl
        self.boost_kimg = boost_kimg
        self.lr_steps = lr_steps or {}
        self.batch_steps = batch_steps or {}

    # -- training ----------------------------------------------------------------------------------------------------

    def phases(self) -> Sequence[Phase]:
        """The encoder first."""
        return [
            Phase("E", ("encoder",), self.encoder_loss),
            Phase("G", ("generator",), self.generator_loss, repeat=self.g_steps),
        ]

    def optimizer_groups(self) -> Mapping[str, tuple[tuple[str, ...], Lazy | None]]:
        """One optimizer each."""
        return {"E": (("encoder",), None), "G": (("generator",), None)}

    def lr_of(self, optimizer: str) -> float:
        """G may have its own."""
        return self.g_lr if optimizer == "G" and self.g_lr is not None else super().lr_of(optimizer)

    def batch_sizes(self, batch_size: int) -> Mapping[int, int]:
        """By ``batch_steps``."""
        return {0: batch_size, **{round(kimg * 1000): size for kimg, size in self.batch_steps.items()}}

    def lr_factor(self) -> float:
        """By ``lr_steps``."""
        return step_at(self.lr_steps, self.images_seen, before=1.0)

    def encoder_loss(self, step: Step) -> Tensor:
        """Equation 4: ``KL(E(x)) - KL(E(G(z))) + lambda_X L_X``."""
        with torch.no_grad():
            fake = self.remembered(self.generate(self.generator, self.codes(step)), step.draws)
        real = self.shown(step.real)
        codes = self.embed(self.encoder, real)
        kl_real = self.divergence(codes)
        error = self.pixel_loss(real, self.generate(self.generator, codes))
        kl_fake = self.divergence(self.embed(self.encoder, fake))
        self.record_spread(codes)
        self.record("loss/kl_real", kl_real)
        self.record("loss/kl_fake", kl_fake)
        self.record("loss/x", error)
        self.record("health/kl_real_above_floor", kl_real - sphere_kl_floor(self.code_dim))
        boost = self.weights.x_boost if self.boosted else 1.0
        return self.game(kl_real, kl_fake) + self.weights.x * boost * error

    def generator_loss(self, step: Step) -> Tensor:
        """Equation 6: ``KL(E(G(z))) + lambda_Z L_Z``."""
        z = self.codes(step)
        codes = self.embed(self.encoder, self.generate(self.generator, z))
        kl, error = self.divergence(codes), code_mismatch(z, codes)
        self.record("loss/kl_G", kl)
        self.record("score/cosine", (z * codes).sum(dim=1))
        weight = self.weights.z * (self.code_dim if self.weights.literal_z else 1)
        return self.weights.kl * kl + weight * error

    def game(self, kl_real: Tensor, kl_fake: Tensor) -> Tensor:
        """The adversarial part of the encoder's loss."""
        return self.weights.kl * (kl_real - kl_fake)

    def divergence(self, codes: Tensor) -> Tensor:
        """Equation 1 from the moments of the codes of all ranks, with gradient."""
        return self.kl(*moments_over_ranks(codes))

    @property
    def boosted(self) -> bool:
        """Whether the reconstruction of images weighs more in this iteration."""
        return self.boost_kimg is not None and self.images_seen >= round(self.boost_kimg * 1000)

    def remembered(self, fake: Tensor, draws: Draws) -> Tensor:
        """Generated images as the encoder sees them in its own step."""
        return fake
