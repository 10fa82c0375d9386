"""StyleGAN2 with an encoder: what AE-StyleGAN, two-stage inversion and ALAE have in common."""

from typing import Any

from torch import Tensor

from aestyle.engine.phases import Step
from aestyle.errors import UserError
from aestyle.methods.stylegan2 import StyleGAN2
from aestyle.nets.discriminator import Encoder
from aestyle.nets.generator import style_per_layer


class StyleAutoencoder(StyleGAN2):
    """A StyleGAN2 whose images an encoder E takes back to codes of G: to W or W+, or to style matrices.

    Args:
        encoder: encoder E into W (one style), W+ (one style per layer), or their like of matrices.
        joint: G is trained to reconstruct too; else E alone.
        e_steps: reconstruction steps an iteration, each on a new batch.
        **kwargs: see :class:`~aestyle.methods.stylegan2.StyleGAN2`.

    Raises:
        UserError: E's codes are none that G takes.
    """

    network_names: tuple[str, ...] = ("mapping", "synthesis", "discriminator", "encoder")
    has_encoder = True

    def __init__(self, encoder: Encoder, joint: bool = True, e_steps: int = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.encoder = encoder
        self.joint = joint
        self.batches_per_iteration = self.e_steps = e_steps
        self.average("encoder")
        if not any(space.shape == encoder.code_shape for space in list(self.spaces.values())[1:]):
            known = ", ".join(f"{space.name} {space.shape}" for space in list(self.spaces.values())[1:])
            raise UserError(
                f"method/encoder gives codes {encoder.code_shape}, the generator takes {known}: choose "
                "method/encoder=matrix for style matrices shared by all layers, w or w_plus for vectors"
            )

    @property
    def reconstructing(self) -> tuple[str, ...]:
        """The networks that are trained to reconstruct."""
        return ("encoder", "synthesis") if self.joint else ("encoder",)

    def reconstruct(self, step: Step) -> Tensor:
        """G(E(x)) with fresh noise: (N, C, R, R)."""
        return self.render(self.encoder(step.real), step, "rec_noise")

    def render(self, codes: Tensor, step: Step, noise: str) -> Tensor:
        """G(codes) with the fresh noise of this name; codes (N, num_codes, ...) as E gives them."""
        ws = codes if codes.shape[1] > 1 else style_per_layer(codes[:, 0], self.synthesis.num_ws)
        return self.synthesis(ws, self.noise(len(codes), step.draws, noise))

    def latent_loss(self, step: Step) -> Tensor:
        """``E |E(G(w)) - w|^2`` per element, the target w = F(z) without gradient.

        Styles are mixed only where E gives one per layer.
        """
        count = len(step.real)
        mixing = self.style_mixing if self.encoder.num_codes > 1 else 0.0
        ws = self.styles(count, step.draws, mixing)
        codes = self.encoder(self.synthesis(ws, self.noise(count, step.draws)))
        loss = (codes - ws[:, : self.encoder.num_codes].detach()).square().mean()
        self.record("loss/latent", loss)
        return loss

    # -- the trained model from outside ------------------------------------------------------------------------------

    @property
    def code_space(self) -> str:
        """``w`` or ``w_plus``, or their like of matrices, as the encoder was built."""
        spaces = list(self.spaces.values())[1:]
        return next(space.name for space in spaces if space.shape == self.encoder.code_shape)

    def encode(self, x: Tensor) -> Tensor:
        """Codes of images, by the averaged encoder.

        Args:
            x: images (N, channels, resolution, resolution) in [-1, 1].

        Returns:
            (N, *shape) of :attr:`code_space`: (N, style_dim) in W, (N, num_ws, style_dim) in W+.
        """
        return self.ema["encoder"](x).view(-1, *self.encoder.code_shape)
