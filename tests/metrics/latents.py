"""A model with latent spaces whose synthesis is linear, so that what a path through it measures is known."""

import torch
from torch import Tensor

from aestyle.latents.spaces import Space
from tests.metrics.conftest import TinyModel


class LinearModel(TinyModel):
    """x = A w and w = B z, in float32; reconstructions are halved."""

    code_space = "x"

    def __init__(self, dim: int = 5, seed: int = 0) -> None:
        super().__init__(lambda x: x / 2)
        generator = torch.Generator().manual_seed(seed)
        self.dim = dim
        self.a = torch.randn(self.resolution**2, dim, generator=generator) / 10
        self.b = torch.randn(dim, dim, generator=generator)

    @property
    def spaces(self) -> dict[str, Space]:
        return {"z": Space("z", (self.dim,)), "w": Space("w", (self.dim,))}

    def prior(self, n: int, seed: int = 0) -> Tensor:
        return torch.randn(n, self.dim, generator=torch.Generator().manual_seed(seed))

    def convert_code(self, code: Tensor, source: str, target: str) -> Tensor:
        return code if source == target else code @ self.b.T

    def decode(self, code: Tensor, space: str | None = None) -> Tensor:
        if space is None:
            return super().decode(code)
        w = self.convert_code(code, space, "w")
        return (w @ self.a.T.to(w)).view(-1, self.channels, self.resolution, self.resolution)

    def sample(self, n: int, seed: int = 0) -> Tensor:
        return self.decode(self.prior(n, seed), "z")


class SquaredL2:
    """The sum of squared differences, in float64."""

    name, resize = "pixels", None

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        return (x.double() - y.double()).square().sum(dim=(1, 2, 3))
