"""PIONEER (Heljakka et al., 2018): AGE's game, grown from 4 pixels on."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from aestyle.engine.draws import Draws
from aestyle.engine.history import History
from aestyle.engine.phases import Step
from aestyle.engine.schedule import step_at
from aestyle.errors import UserError
from aestyle.methods.age import AGE
from aestyle.methods.growing import Growing


class Pioneer(Growing, AGE):
    """PIONEER: E; G (``g_steps`` times); the networks, the images and the batch grow with the images seen.

    Args:
        history: earlier generated images, which E sees in its own step once a phase is stable; None leaves it out.
        boost_last_only: images weigh more in the stable half of the last phase only, as the paper says; else in that of
            each phase, as the code does.
        kl_margin: E gains nothing from a difference of the weighted divergences beyond this margin (Balanced PIONEER),
            by the thousand images from which on it holds; None: no margin.
        **kwargs: see :class:`~aestyle.methods.growing.Growing` and :class:`~aestyle.methods.age.AGE`.

    Raises:
        UserError: an option of AGE is set that ``growth`` decides.
    """

    def __init__(
        self,
        history: History | None = None,
        boost_last_only: bool = False,
        kl_margin: Mapping[float, float] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if self.batch_steps or self.boost_kimg is not None:
            raise UserError(
                "method=pioneer: set method.growth in the place of method.batch_steps and method.boost_kimg"
            )
        self.history = history
        self.boost_last_only = boost_last_only
        self.kl_margin = kl_margin or {}

    @property
    def boosted(self) -> bool:
        """In the stable half of phases."""
        stage = self.stage
        return stage.stable and (not self.boost_last_only or stage.phase == self.growth.last_phase)

    def encoder_loss(self, step: Step) -> Tensor:
        """That of AGE, with the stage among the statistics."""
        self.record_stage()
        return super().encoder_loss(step)

    def game(self, kl_real: Tensor, kl_fake: Tensor) -> Tensor:
        """``KL(E(x)) - KL(E(G(z)))``, not below the margin."""
        difference = super().game(kl_real, kl_fake)
        margin = step_at(self.kl_margin, self.images_seen, before=0.0)
        return difference.clamp(min=-margin) if margin > 0 else difference

    def remembered(self, fake: Tensor, draws: Draws) -> Tensor:
        """From the history, once the phase is stable."""
        return self.history(fake, draws) if self.history is not None and self.stage.stable else fake
