"""What happens around the iterations of any method, on the images-seen clock."""

from typing import TYPE_CHECKING

from pytorch_lightning import LightningModule

if TYPE_CHECKING:
    from aestyle.engine.module import PhasedModule


def method_of(module: LightningModule) -> "PhasedModule":
    """The module as the method that it is.

    Raises:
        TypeError: it is none.
    """
    from aestyle.engine.module import PhasedModule

    if not isinstance(module, PhasedModule):
        raise TypeError(f"{type(module).__name__} is not a PhasedModule: these callbacks need the images-seen clock")
    return module


class Cadence:
    """Says when something that happens every so many thousand images is due.

    A pure function of the images seen before and after an iteration, so that it survives every restart.

    Args:
        every_kimg: interval in thousand images.
    """

    def __init__(self, every_kimg: float) -> None:
        self.every = round(every_kimg * 1000, 6)  # 2.007 * 1000 is not 2007

    def due(self, before: int, after: int) -> bool:
        """Whether a multiple of the interval was reached by the iteration that led from ``before`` to ``after``."""
        return int(after // self.every) > int(before // self.every)
