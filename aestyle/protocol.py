"""What every trained model offers to metrics, latent tools and reports, and all that they may know of it."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from torch import Tensor


@runtime_checkable
class Autoencoder(Protocol):
    """A trained model seen from outside: an autoencoder with a prior.

    Images are float tensors (N, channels, resolution, resolution) in [-1, 1]. The methods use the EMA networks,
    running statistics and constant noise, leave the model unchanged and carry no gradient unless the inputs do.
    """

    @property
    def resolution(self) -> int:
        """Height and width of the images, in pixels."""
        ...

    @property
    def channels(self) -> int:
        """1 for grey pictures, 3 for RGB."""
        ...

    def encode(self, x: Tensor) -> Tensor:
        """Images (N, channels, H, W) in [-1, 1] to codes of the model's own space."""
        ...

    def decode(self, code: Tensor, space: str | None = None) -> Tensor:
        """Codes to images (N, channels, H, W), not clamped. ``space`` names the codes' space (default: encode's)."""
        ...

    def sample(self, n: int, seed: int = 0) -> Tensor:
        """``n`` images decoded from the prior; the same seed gives the same images, whatever ``n`` is."""
        ...


@runtime_checkable
class LatentModel(Autoencoder, Protocol):
    """A trained model whose latent spaces can be worked in."""

    @property
    def spaces(self) -> Mapping[str, Any]:
        """The :class:`~aestyle.latents.spaces.Space` of each name, from the prior's ``z`` to the widest one."""
        ...

    @property
    def code_space(self) -> str:
        """The space that ``encode`` answers in and ``decode`` takes by default."""
        ...

    def prior(self, n: int, seed: int = 0) -> Tensor:
        """The codes of ``sample``, in space ``z``."""
        ...

    def convert_code(self, code: Tensor, source: str, target: str) -> Tensor:
        """A code of space ``source`` as one of the wider space ``target`` that decodes to the same image."""
        ...


@runtime_checkable
class GaussianModel(Autoencoder, Protocol):
    """A trained model whose encoder gives a Gaussian for each image."""

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mu and sigma of images (N, channels, H, W) in [-1, 1], each (N, latent_dim); sigma may have either sign."""
        ...


@runtime_checkable
class StyledModel(LatentModel, Protocol):
    """A trained model whose codes enter linear layers directly, so that their weights tell of its directions."""

    def style_weights(self) -> Sequence[Tensor]:
        """The weights (outputs, D) of these layers: one for each layer of a code, or a single one without layers."""
        ...


@runtime_checkable
class RowStyledModel(StyledModel, Protocol):
    """A :class:`StyledModel` whose codes are matrices: row r scales kernels of its own."""

    def kernel_energies(self) -> Sequence[Tensor]:
        """For each of :meth:`style_weights`: squared lengths of the kernels of row r, (rows, outputs); 0 if unused."""
        ...
