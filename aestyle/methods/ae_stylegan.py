"""AE-StyleGAN (Han et al., 2021): the autoencoder step that its joint, decoupled and two-stage forms share."""

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from aestyle.engine.distributed import average_over_ranks
from aestyle.engine.phases import Lazy, Phase, Step
from aestyle.errors import UserError
from aestyle.losses.adaptive import adaptive_weight
from aestyle.losses.adversarial import discriminator_loss, real_loss
from aestyle.losses.reconstruction import PIXEL_LOSSES
from aestyle.losses.total_correlation import permute_dims, total_correlation
from aestyle.methods.style_autoencoder import StyleAutoencoder
from aestyle.nets.latent import LatentDiscriminator


class Perceptual(Protocol):
    """A perceptual distance on a frozen feature network, kept outside the module so that no checkpoint holds it."""

    def __call__(self, x: Tensor, rec: Tensor) -> Tensor:
        """Scalar distance between images x and rec, both (N, C, H, W) in [-1, 1]."""
        ...


@dataclass(frozen=True)
class AdaptiveBeta:
    """Equation 6: balances the adversarial term of the AE step by gradient norms at G's last layer.

    Args:
        eps: keeps the ratio finite (paper 1e-6, code 1e-4).
        maximum: upper bound of beta.
        start_kimg: beta is 1 before this many thousand images (the code's 30,000 iterations of 16 are 480).
        rgb_only: the last layer is the last ToRGB only, without the last convolution.
        rescale: multiplies by lambda_adv once more, as VQGAN does: without it, the ratio cancels lambda_adv.
    """

    eps: float = 1e-4
    maximum: float = 1e4
    start_kimg: float = 0.0
    rgb_only: bool = False
    rescale: bool = False


@dataclass(frozen=True)
class AEWeights:
    """Weights of the AE step (Equation 2) and of the negatives of D (Equation 5).

    Args:
        pixel: weight of the pixel loss.
        perceptual: weight of the perceptual loss (lambda_vgg); 0 leaves it out.
        adversarial: lambda_adv; 0 leaves the term out. Under adaptive beta its size cancels.
        fake: weight of samples in D's loss: 0.9 in the paper, 1 in the official code.
        rec: weight of reconstructions in D's loss: 0.1 in the paper, 1 in the official code.
        latent: weight of ``|E(G(w)) - w|^2`` on samples, an option of the official code; 0 leaves it out.
        total_correlation: weight of the code's total correlation, where there is a code critic.
    """

    pixel: float = 1.0
    perceptual: float = 5e-5
    adversarial: float = 0.1
    fake: float = 0.9
    rec: float = 0.1
    latent: float = 0.0
    total_correlation: float = 1.0


class AEStyleGAN(StyleAutoencoder):
    """What every form of AE-StyleGAN does with E: Equation 2, or 6 with adaptive beta.

    Args:
        weights: weights of the loss terms.
        pixel_loss: ``mse`` (code), ``l1`` or ``l2norm`` (Equation 2 to the letter).
        perceptual: perceptual distance h of Equation 2; None if its weight is 0.
        beta: adaptive weight of Equation 6; None keeps it at 1.
        code_critic: estimates the total correlation of E's code, as in FactorVAE, which E then lowers (the paper's
            future work); None leaves it out.
        **kwargs: see :class:`~aestyle.methods.style_autoencoder.StyleAutoencoder`.

    Raises:
        UserError: there is no such pixel loss, or beta is asked for where G does not take the AE step.
    """

    network_names: tuple[str, ...] = ("mapping", "synthesis", "discriminator", "encoder", "code_critic")

    def __init__(
        self,
        weights: AEWeights | None = None,
        pixel_loss: str = "mse",
        perceptual: Perceptual | None = None,
        beta: AdaptiveBeta | None = None,
        code_critic: LatentDiscriminator | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.weights = weights or AEWeights()
        if pixel_loss not in PIXEL_LOSSES:
            raise UserError(f"method.pixel_loss={pixel_loss}: choose one of {', '.join(PIXEL_LOSSES)}")
        if beta and not self.joint:
            raise UserError("method.beta balances gradients of G: with method.joint=false, set method.beta=null")
        self.pixel_loss = PIXEL_LOSSES[pixel_loss]
        self.perceptual = perceptual
        self.beta = beta
        self.code_critic = code_critic

    def optimizer_groups(self) -> dict[str, tuple[tuple[str, ...], Lazy | None]]:
        """E has an optimizer of its own; G's serves the AE and the GAN steps."""
        groups = {**super().optimizer_groups(), "E": (("encoder",), None)}
        return {**groups, "C": (("code_critic",), None)} if self.code_critic else groups

    def autoencoder_phases(self) -> list[Phase]:
        """E (and G, if joint) reconstruct, ``e_steps`` times; before them the code critic, where there is one."""
        phases = [Phase("AE", self.reconstructing, self.autoencoder_loss, repeat=self.e_steps)]
        if self.code_critic:
            phases.insert(0, Phase("C", ("code_critic",), self.code_critic_loss))
        return phases

    def autoencoder_loss(self, step: Step) -> Tensor:
        """Equation 2, or 6 with adaptive beta: ``L_rec + beta * lambda_adv * E A(-D(G(E(x))))``, and the options.

        The terms of the equation depend on E and G through the reconstruction only. So each is differentiated once,
        down to the image; beta and the step use the same image gradients, and what is returned has the loss's
        gradient, not its value.
        """
        codes = self.encoder(step.real)
        self.record("health/code_std", codes.std())
        self.record_spread(codes)
        rec = self.render(codes, step, "rec_noise")
        image = rec.detach().requires_grad_()
        (gradient,) = self.gradients(self.reconstruction_loss(step.real, image), [image])
        if self.weights.adversarial > 0:
            (logits,) = self.discriminate_rec(step, rec=image)
            adv = self.weights.adversarial * real_loss(logits)
            self.record("loss/AE_adv", adv)
            (adv_gradient,) = self.gradients(adv, [image])
            gradient = gradient + self.adversarial_weight(rec, gradient, adv_gradient) * adv_gradient
        loss = (rec * gradient).sum()
        if self.weights.latent > 0:
            loss = loss + self.weights.latent * self.latent_loss(step)
        if self.code_critic:
            correlation = total_correlation(self.code_critic(codes))
            self.record("loss/total_correlation", correlation)
            loss = loss + self.weights.total_correlation * correlation
        return loss

    def discriminate_rec(self, step: Step, **batches: Tensor) -> list[Tensor]:
        """Logits of the discriminator that judges reconstructions: the only one, unless a method has two."""
        return self.discriminate(step, **batches)

    def reconstruction_loss(self, real: Tensor, rec: Tensor) -> Tensor:
        """``L_rec`` of Equation 6: weighted pixel and perceptual losses."""
        pixel = self.pixel_loss(real, rec)
        self.record("loss/pixel", pixel)
        loss = self.weights.pixel * pixel
        if self.perceptual is not None and self.weights.perceptual > 0:
            perceptual = self.perceptual(real, rec)
            self.record("loss/perceptual", perceptual)
            loss = loss + self.weights.perceptual * perceptual
        return loss

    def adversarial_weight(self, rec: Tensor, rec_gradient: Tensor, adv_gradient: Tensor) -> Tensor:
        """Beta of Equation 6 from the two losses' gradients at the image, carried on to G's last layer."""
        layers = self.synthesis.last_layer[: 1 if self.beta and self.beta.rgb_only else None]
        frozen = not all(layer.requires_grad for layer in layers)
        if self.beta is None or frozen or self.images_seen < self.beta.start_kimg * 1000:
            return rec.new_ones(())
        gradients: list[Tensor] = []
        for at_image in (rec_gradient, adv_gradient):
            gradients += self.gradients(rec, layers, at_image, retain_graph=True)
        gradients = average_over_ranks(gradients)
        beta = adaptive_weight(gradients[: len(layers)], gradients[len(layers) :], self.beta.eps, self.beta.maximum)
        self.record("health/beta", beta)
        return beta * self.weights.adversarial if self.beta.rescale else beta

    def code_critic_loss(self, step: Step) -> Tensor:
        """The critic tells codes from codes whose dimensions were permuted over the batch (FactorVAE, Algorithm 2)."""
        assert self.code_critic is not None
        with torch.no_grad():
            codes = self.encoder(step.real).flatten(1)
        order = step.draws.uniforms("permutation", codes.shape[1:], len(codes))
        loss = discriminator_loss(self.code_critic(codes), (self.code_critic(permute_dims(codes, order)), 1.0))
        self.record("loss/C", loss)
        return loss
