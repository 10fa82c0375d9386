"""What autoencoders with a Gaussian code have in common, seen from outside."""

from typing import Any

import torch
from torch import Tensor, nn

from aestyle.engine.batchnorm import globalise
from aestyle.engine.draws import Draws, sample_normal
from aestyle.engine.module import PhasedModule
from aestyle.errors import NotOffered, UserError
from aestyle.latents.spaces import Space, get_space
from aestyle.losses.reconstruction import PIXEL_LOSSES
from aestyle.nets.aae import GaussianEncoder, MappedDecoder
from aestyle.nets.posterior import Posterior


class GaussianAutoencoder(PhasedModule):
    """An encoder into ``N(mu, diag(sigma^2))``, a decoder, a discriminator; the prior is N(0, I).

    Seen from outside, a code is the mu of an image, and networks use running statistics.

    Args:
        encoder: encoder E.
        decoder: decoder Dec.
        discriminator: discriminator D, of codes or of images.
        pixel_loss: ``l1``, ``mse`` or ``l2norm``.
        **kwargs: see :class:`~aestyle.engine.module.PhasedModule`.

    Raises:
        UserError: there is no such pixel loss.
    """

    network_names = ("encoder", "decoder", "discriminator")
    has_encoder = True

    def __init__(
        self,
        encoder: GaussianEncoder,
        decoder: MappedDecoder,
        discriminator: nn.Module,
        pixel_loss: str = "l1",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if pixel_loss not in PIXEL_LOSSES:
            raise UserError(f"method.pixel_loss={pixel_loss}: choose one of {', '.join(PIXEL_LOSSES)}")
        self.encoder = globalise(encoder)
        self.decoder = globalise(decoder)
        self.discriminator = globalise(discriminator)
        self.pixel_loss = PIXEL_LOSSES[pixel_loss]
        self.latent_dim = encoder.latent_dim
        self.image_shape = (decoder.image_channels, decoder.resolution)
        self.average("encoder", "decoder")

    def sample_code(self, posterior: Posterior, draws: Draws, name: str = "eps") -> Tensor:
        """``mu + eps * sigma``, (N, latent_dim), with the draws of this name."""
        return posterior.sample(draws.normal(name, (self.latent_dim,)))

    def draw_prior(self, draws: Draws, name: str = "z") -> Tensor:
        """Codes N(0, 1) of the prior, (N, latent_dim)."""
        return draws.normal(name, (self.latent_dim,))

    def record_posterior(self, posterior: Posterior) -> None:
        """The size of sigma, whose collapse is IAAE's finding, and how far the codes of all images fill the prior."""
        mu, sigma = posterior.mu.detach(), posterior.sigma.detach()
        self.record("latent/sigma", sigma.abs())
        self.record("latent/mu_std", mu.std(dim=0, correction=0))
        self.record_spread(mu)
        self.record("latent/variance", mu.var(dim=0, correction=0) + sigma.square().mean(dim=0))

    # -- the trained model from outside ------------------------------------------------------------------------------

    @property
    def resolution(self) -> int:
        """Height and width of the images, in pixels."""
        return self.image_shape[1]

    @property
    def channels(self) -> int:
        """1 for grey pictures, 3 for RGB."""
        return self.image_shape[0]

    @property
    def spaces(self) -> dict[str, Space]:
        """The only latent space: that of the code and of the prior."""
        return {"z": Space("z", (self.latent_dim,))}

    @property
    def code_space(self) -> str:
        """``z``."""
        return "z"

    def posterior(self, x: Tensor) -> Posterior:
        """Mu and sigma of images (N, channels, resolution, resolution) in [-1, 1], each (N, latent_dim)."""
        return self.ema["encoder"](x)

    def encode(self, x: Tensor) -> Tensor:
        """The mu of images (N, channels, resolution, resolution) in [-1, 1]: (N, latent_dim)."""
        return self.posterior(x).mu

    def latent_values(self, x: Tensor) -> dict[str, Tensor]:
        """Mu and sigma of images, each (N, latent_dim)."""
        posterior = self.posterior(x)
        return {"mu": posterior.mu, "sigma": posterior.sigma}

    def decode(self, code: Tensor, space: str | None = None) -> Tensor:
        """Codes (N, latent_dim) to images (N, channels, resolution, resolution) in [-1, 1].

        Args:
            code: a batch of codes.
            space: ``z``.

        Raises:
            UserError: unknown space, or a code that is not of it.
        """
        return self.ema["decoder"](self.convert_code(code, space or self.code_space, "z"))

    def convert_code(self, code: Tensor, source: str, target: str) -> Tensor:
        """The code itself, as there is one space.

        Raises:
            UserError: unknown space, or a code that is not of it.
        """
        get_space(self.spaces, target)
        return get_space(self.spaces, source).check(code)

    def prior(self, n: int, seed: int = 0) -> Tensor:
        """Codes of :meth:`sample`: N(0, 1) (n, latent_dim); the first ones do not depend on ``n``."""
        return sample_normal(seed, "z", n, (self.latent_dim,), self.device).to(self.dtype)

    @torch.no_grad()
    def sample(self, n: int, seed: int = 0) -> Tensor:
        """``n`` images of the prior: (n, channels, resolution, resolution) in [-1, 1]."""
        return self.decode(self.prior(n, seed))

    def style_weights(self) -> list[Tensor]:
        """The weights (outputs, latent_dim) of the averaged decoder's first layer.

        Raises:
            NotOffered: a mapping network is in front of it.
        """
        decoder = self.ema["decoder"]
        assert isinstance(decoder, MappedDecoder)
        if len(decoder.mapping):
            raise NotOffered(f"{type(self).__name__}: a mapping network is between codes and the decoder's first layer")
        weight = next(decoder.body.parameters())
        return [weight if weight.ndim == 2 else weight.flatten(1).t()]  # ALI's is a transposed convolution of one pixel
