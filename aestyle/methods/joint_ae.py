"""Joint AE-StyleGAN (Han et al., 2021), Algorithm 2: encoder and generator are trained together, with one D."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from aestyle.engine.distributed import average_over_ranks
from aestyle.engine.phases import Lazy, Phase, Step
from aestyle.errors import UserError
from aestyle.losses.adaptive import adaptive_weight
from aestyle.losses.adversarial import aegan_discriminator_loss, real_loss
from aestyle.losses.reconstruction import PIXEL_LOSSES
from aestyle.methods.stylegan2 import StyleGAN2
from aestyle.nets.discriminator import Encoder
from aestyle.nets.generator import style_per_layer


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
    """

    eps: float = 1e-4
    maximum: float = 1e4
    start_kimg: float = 0.0
    rgb_only: bool = False


@dataclass(frozen=True)
class AEWeights:
    """Weights of the AE step (Equation 2) and of the negatives of D (Equation 5).

    Args:
        pixel: weight of the pixel loss.
        perceptual: weight of the perceptual loss (lambda_vgg); 0 leaves it out.
        adversarial: lambda_adv; 0 leaves the term out. Under adaptive beta its size cancels.
        fake: weight of samples in D's loss: 0.9 in the paper, 1 in the official code.
        rec: weight of reconstructions in D's loss: 0.1 in the paper, 1 in the official code.
    """

    pixel: float = 1.0
    perceptual: float = 5e-5
    adversarial: float = 0.1
    fake: float = 0.9
    rec: float = 0.1


class JointAE(StyleGAN2):
    """Joint AE-StyleGAN: D; R1; E and G reconstruct (``e_steps`` times); F and G generate; path length.

    Args:
        encoder: encoder E into W (one style) or W+ (one style per layer).
        weights: weights of the loss terms.
        pixel_loss: ``mse`` (code), ``l1`` or ``l2norm`` (Equation 2 to the letter).
        perceptual: perceptual distance h of Equation 2; None if its weight is 0.
        e_steps: AE steps an iteration, each on a new batch.
        beta: adaptive weight of Equation 6; None keeps it at 1.
        **kwargs: see :class:`~aestyle.methods.stylegan2.StyleGAN2`.

    Raises:
        UserError: there is no such pixel loss.
    """

    network_names = ("mapping", "synthesis", "discriminator", "encoder")
    has_encoder = True

    def __init__(
        self,
        encoder: Encoder,
        weights: AEWeights | None = None,
        pixel_loss: str = "mse",
        perceptual: Perceptual | None = None,
        e_steps: int = 1,
        beta: AdaptiveBeta | None = None,
        **kwargs: object,
    ) -> None:
        super().__init__(**kwargs)  # type: ignore[arg-type]
        self.encoder = encoder
        self.weights = weights or AEWeights()
        if pixel_loss not in PIXEL_LOSSES:
            raise UserError(f"method.pixel_loss={pixel_loss}: choose one of {', '.join(PIXEL_LOSSES)}")
        self.pixel_loss = PIXEL_LOSSES[pixel_loss]
        self.perceptual = perceptual
        self.batches_per_iteration = self.e_steps = e_steps
        self.beta = beta
        self.average("encoder")

    # -- Algorithm 2 -------------------------------------------------------------------------------------------------

    def phases(self) -> Sequence[Phase]:
        """Step I: D. Step II: E and G. Step III: F and G."""
        reconstruct = Phase("AE", ("encoder", "synthesis"), self.autoencoder_loss, repeat=self.e_steps)
        return [*self.discriminator_phases(), reconstruct, *self.generator_phases()]

    def optimizer_groups(self) -> Mapping[str, tuple[tuple[str, ...], Lazy | None]]:
        """E has an optimizer of its own; G's serves the AE and the GAN steps."""
        return {**super().optimizer_groups(), "E": (("encoder",), None)}

    def discriminator_loss(self, step: Step) -> Tensor:
        """Equation 5: real images against samples and reconstructions."""
        fake, rec = self.generate(len(step.real), step.draws), self.reconstruct(step)
        real, fake, rec = self.discriminate(step.draws, real=step.real, fake=fake, rec=rec)
        self.record_scores(real=real, fake=fake, rec=rec)
        loss = aegan_discriminator_loss(real, fake, rec, self.weights.fake, self.weights.rec)
        self.record("loss/D", loss)
        return loss

    def autoencoder_loss(self, step: Step) -> Tensor:
        """Equation 2, or 6 with adaptive beta: ``L_rec + beta * lambda_adv * E A(-D(G(E(x))))``.

        Every term depends on E and G through the reconstruction only. So each is differentiated once, down to the
        image; beta and the step use the same image gradients, and what is returned has the loss's gradient, not its
        value.
        """
        rec = self.reconstruct(step)
        image = rec.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(self.reconstruction_loss(step.real, image), image)
        if self.weights.adversarial > 0:
            (logits,) = self.discriminate(step.draws, rec=image)
            adv = self.weights.adversarial * real_loss(logits)
            self.record("loss/AE_adv", adv)
            (adv_gradient,) = torch.autograd.grad(adv, image)
            gradient = gradient + self.adversarial_weight(rec, gradient, adv_gradient) * adv_gradient
        return (rec * gradient).sum()

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
        if self.beta is None or self.images_seen < self.beta.start_kimg * 1000:
            return rec.new_ones(())
        layers = self.synthesis.last_layer[: 1 if self.beta.rgb_only else None]
        gradients: list[Tensor] = []
        for at_image in (rec_gradient, adv_gradient):
            gradients += torch.autograd.grad(rec, layers, at_image, retain_graph=True)
        gradients = average_over_ranks(gradients)
        beta = adaptive_weight(gradients[: len(layers)], gradients[len(layers) :], self.beta.eps, self.beta.maximum)
        self.record("health/beta", beta)
        return beta

    def reconstruct(self, step: Step) -> Tensor:
        """G(E(x)) with fresh noise: (N, C, R, R)."""
        codes = self.encoder(step.real)
        self.record("health/code_std", codes.std())
        ws = codes if codes.shape[1] > 1 else style_per_layer(codes[:, 0], self.synthesis.num_ws)
        return self.synthesis(ws, self.noise(len(codes), step.draws, "rec_noise"))

    # -- the trained model from outside ------------------------------------------------------------------------------

    @property
    def code_space(self) -> str:
        """``w`` or ``w_plus``, as the encoder was built."""
        return "w" if self.encoder.num_codes == 1 else "w_plus"

    def encode(self, x: Tensor) -> Tensor:
        """Codes of images, by the averaged encoder.

        Args:
            x: images (N, channels, resolution, resolution) in [-1, 1].

        Returns:
            (N, style_dim) in W, (N, num_ws, style_dim) in W+.
        """
        codes = self.ema["encoder"](x)
        return codes[:, 0] if self.code_space == "w" else codes
