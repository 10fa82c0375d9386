"""What every trained model offers to metrics, latent tools and reports, and all that they may know of it."""

from typing import Protocol, runtime_checkable

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
