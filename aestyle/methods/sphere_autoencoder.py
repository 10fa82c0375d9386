"""What autoencoders with codes on the unit sphere have in common, seen from outside."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from aestyle.engine.batchnorm import globalise
from aestyle.engine.draws import sample_normal
from aestyle.engine.module import PhasedModule
from aestyle.engine.phases import Step
from aestyle.errors import UserError
from aestyle.latents.spaces import Space, get_space
from aestyle.losses.reconstruction import PIXEL_LOSSES
from aestyle.nets import age, pioneer, progan


class SphereAutoencoder(PhasedModule):
    """A generator of images and an encoder into codes on the unit sphere, on which the prior is uniform.

    Args:
        generator: G.
        encoder: E; the second of ``network_names``, whatever the method calls it.
        pixel_loss: ``l1``, ``mse`` or ``l2norm``.
        averaged: networks that are seen from outside as their moving average; the others as they are.
        **kwargs: see :class:`~aestyle.engine.module.PhasedModule`.

    Raises:
        UserError: there is no such pixel loss or network.
    """

    has_encoder = True

    def __init__(
        self,
        generator: age.Generator | pioneer.Generator,
        encoder: age.Encoder | pioneer.Encoder | progan.Critic,
        pixel_loss: str = "l1",
        averaged: Sequence[str] = (),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if pixel_loss not in PIXEL_LOSSES:
            raise UserError(f"method.pixel_loss={pixel_loss}: choose one of {', '.join(PIXEL_LOSSES)}")
        if unknown := set(averaged) - set(self.network_names):
            raise UserError(f"method.averaged={sorted(unknown)}: choose among {', '.join(self.network_names)}")
        for name, network in zip(self.network_names, (generator, encoder), strict=True):
            setattr(self, name, globalise(network))
        self.code_dim = generator.code_dim
        self.image_shape = (generator.image_channels, generator.resolution)
        self.pixel_loss = PIXEL_LOSSES[pixel_loss]
        self.averaged = tuple(averaged)
        self.average(*self.network_names)

    def ema_decay(self, name: str, batch_size: int) -> float:
        """0 keeps a copy of the network as it is."""
        return super().ema_decay(name, batch_size) if name in self.averaged else 0.0

    def codes(self, step: Step) -> Tensor:
        """Fresh codes, uniform on the sphere: (N, code_dim)."""
        return F.normalize(step.draws.normal("z", (self.code_dim,), len(step.real)), dim=1)

    # -- what a method that grows does in its own way ----------------------------------------------------------------

    def generate(self, generator: nn.Module, z: Tensor) -> Tensor:
        """Images of unit codes, of the size that the networks work at now."""
        image: Tensor = generator(z)
        return image

    def embed(self, encoder: nn.Module, x: Tensor) -> Tensor:
        """Unit codes of images of that size."""
        codes: Tensor = encoder(x)
        return codes

    def shown(self, real: Tensor) -> Tensor:
        """Real images (N, C, R, R) as the networks see them now."""
        return real

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
        """The unit sphere."""
        return {"z": Space("z", (self.code_dim,), sphere=True)}

    @property
    def code_space(self) -> str:
        """There is one space only."""
        return "z"

    def encode(self, x: Tensor) -> Tensor:
        """Unit codes (N, code_dim) of images (N, channels, resolution, resolution) in [-1, 1]."""
        return self.embed(self.ema[self.network_names[1]], self.shown(x))

    def decode(self, code: Tensor, space: str | None = None) -> Tensor:
        """Images of codes, which are brought to the unit sphere first: no network has seen others.

        Args:
            code: (N, code_dim).
            space: ``z``.

        Returns:
            Images (N, channels, resolution, resolution), not clamped. While the networks grow, smaller ones enlarged.

        Raises:
            UserError: unknown space, or a code that is not of it.
        """
        z = get_space(self.spaces, space or self.code_space).check(code)
        image = self.generate(self.ema["generator"], F.normalize(z, dim=1))
        return F.interpolate(image, size=self.resolution, mode="nearest")

    def convert_code(self, code: Tensor, source: str, target: str) -> Tensor:
        """The code itself.

        Raises:
            UserError: there is no such space, or the code is not of it.
        """
        get_space(self.spaces, target)
        return get_space(self.spaces, source).check(code)

    def style_weights(self) -> list[Tensor]:
        """The weights of the generator's first layer, (outputs, code_dim)."""
        generator = self.ema["generator"]
        assert isinstance(generator, age.Generator | pioneer.Generator)
        return [generator.code_weights().detach()]

    def prior(self, n: int, seed: int = 0) -> Tensor:
        """Codes of :meth:`sample`, uniform on the sphere: (n, code_dim); the first ones do not depend on ``n``."""
        return F.normalize(sample_normal(seed, "z", n, (self.code_dim,), self.device).to(self.dtype), dim=1)

    @torch.no_grad()
    def sample(self, n: int, seed: int = 0) -> Tensor:
        """``n`` images (n, channels, resolution, resolution) from the prior, not clamped."""
        return self.decode(self.prior(n, seed))
