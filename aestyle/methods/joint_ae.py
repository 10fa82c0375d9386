"""Joint AE-StyleGAN (Han et al., 2021), Algorithm 2: encoder and generator are trained together, with one D."""

from collections.abc import Sequence

from torch import Tensor

from aestyle.engine.phases import Phase, Step
from aestyle.methods.ae_stylegan import AdaptiveBeta, AEStyleGAN, AEWeights

__all__ = ["AEWeights", "AdaptiveBeta", "JointAE"]  # checkpoints of version 0.1.0 look for all of them here


class JointAE(AEStyleGAN):
    """Joint AE-StyleGAN: D; R1; E and G reconstruct (``e_steps`` times); F and G generate; path length.

    With ``joint=False``, G is frozen while E reconstructs (a row of Table 4).
    """

    def phases(self) -> Sequence[Phase]:
        """Step I: D. Step II: E and G. Step III: F and G."""
        return [*self.discriminator_phases(), *self.autoencoder_phases(), *self.generator_phases()]

    def negatives(self, step: Step) -> dict[str, tuple[Tensor, float]]:
        """Equation 5: reconstructions are a second kind of negatives beside the samples."""
        others = {name: (x, weight * self.weights.fake) for name, (x, weight) in super().negatives(step).items()}
        return {**others, "rec": (self.reconstruct(step), self.weights.rec)}
