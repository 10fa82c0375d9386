"""In-domain inversion (Zhu et al., 2020), stage one: an encoder for a generator that is finished. The baseline."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from aestyle.engine.phases import Lazy, Phase, Step
from aestyle.errors import UserError
from aestyle.methods.ae_stylegan import AEStyleGAN


class TwoStage(AEStyleGAN):
    """E learns to invert a trained generator: E (``e_steps`` times); D; R1. F and G stay as they were loaded.

    D goes on from the trained one and tells real images from reconstructions.

    Args:
        joint: has to be False.
        **kwargs: see :class:`~aestyle.methods.ae_stylegan.AEStyleGAN`.

    Raises:
        UserError: ``joint`` or ``nda`` is set.
    """

    frozen = ("mapping", "synthesis")
    needs_init = True

    def __init__(self, joint: bool = False, **kwargs: Any) -> None:
        if joint:
            raise UserError("method=two_stage leaves G as it is: set method.joint=false, or take method=joint_ae")
        super().__init__(joint=joint, **kwargs)
        if self.nda:
            raise UserError("method=two_stage draws no samples that other negatives could replace: set method.nda=null")

    def phases(self) -> Sequence[Phase]:
        """Equation 2 for E, then D, as in the official code's order."""
        return [*self.autoencoder_phases(), *self.discriminator_phases()]

    def optimizer_groups(self) -> dict[str, tuple[tuple[str, ...], Lazy | None]]:
        """None for G."""
        return {name: group for name, group in super().optimizer_groups().items() if name != "G"}

    def negatives(self, step: Step) -> dict[str, tuple[Tensor, float]]:
        """Reconstructions."""
        return {"rec": (self.reconstruct(step), 1.0)}
