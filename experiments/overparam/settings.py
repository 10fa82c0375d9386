"""What is inverted into which space, from where, and with which distances."""

from dataclasses import dataclass
from enum import StrEnum

from aestyle.latents.degraded import default_factor, seen_from_afar
from aestyle.latents.inversion import Distance, Schedule
from aestyle.metrics.efflite0 import PooledEffLite0
from aestyle.metrics.inception import FidInception
from aestyle.metrics.pairwise import ImageDistance, LPIPSDistance
from aestyle.metrics.perceptual import EffLite0Distance
from aestyle.metrics.recipe import Extractor


class How(StrEnum):
    """How codes of pictures are found."""

    MEAN = "mean"  # from the mean, with the paper's schedule
    ENCODER = "encoder"  # from E's codes, without the pull to the mean, which would undo them
    ENCODED = "encoded"  # E's codes as they are
    UPSAMPLED = "upsampled"  # from small copies of the pictures, with the pull in all steps (section 5.1)
    RESTARTED = "restarted"  # several times from random codes, without the pull (section 6.2)


SHRINK = {How.MEAN: 0.5, How.ENCODER: 0.0, How.UPSAMPLED: 1.0, How.RESTARTED: 0.0}
"""Part of the steps in which codes are pulled to the mean."""


@dataclass(frozen=True)
class Setting:
    """One way to find codes of pictures.

    Args:
        run: of the study.
        space: of the codes.
        how: where the codes come from.
        images: pictures at most; None: as many as the protocol says.
        repeats: how often each picture is inverted.
    """

    run: str
    space: str
    how: How = How.MEAN
    images: int | None = None
    repeats: int = 1

    @property
    def name(self) -> str:
        """Name of its files and in tables."""
        return f"{self.run}-{self.space}" + ("" if self.how == How.MEAN else f"-{self.how}")

    @property
    def start(self) -> str:
        """One of :data:`~aestyle.latents.inversion.STARTS`."""
        return {How.ENCODER: "encoder", How.RESTARTED: "random"}.get(self.how, "mean")

    def schedule(self, steps: int) -> Schedule:
        """How codes are optimised."""
        return Schedule(steps=steps, shrink_until=SHRINK[self.how])


@dataclass(frozen=True)
class Protocol:
    """What is asked of every setting at a scale.

    Args:
        steps: of each optimisation.
        distance: the loss, and the distance of Tables 2 and 3.
        extractor: features behind Fréchet distances.
        images: pictures at most.
    """

    steps: int
    distance: ImageDistance
    extractor: Extractor
    images: int

    @classmethod
    def of(cls, scale: str) -> "Protocol":
        """That of ``cpu`` or ``paper``."""
        if scale == "paper":
            return cls(1000, LPIPSDistance(net="vgg"), FidInception(), 100)
        return cls(300, EffLite0Distance(), PooledEffLite0(min_size=96), 40)

    def loss(self, setting: Setting, resolution: int) -> Distance:
        """What a setting minimises: the distance, or that of small copies (16 times smaller at 256 px, 4 at 16)."""
        if setting.how != How.UPSAMPLED:
            return self.distance
        return seen_from_afar(self.distance, max(4, default_factor(resolution)))


W, W_PLUS = Setting("baseline", "w"), Setting("baseline", "w_plus")
MATRIX, MATRIX_PLUS = Setting("overparam", "w_rows"), Setting("overparam", "w_rows_plus")
SPACES = (W, W_PLUS, MATRIX, MATRIX_PLUS)
"""Rows of Tables 2 and 3."""

TWO_STAGE = Setting("matrix_two_stage", "w_rows", How.ENCODED)
JOINT = Setting("matrix_joint", "w_rows", How.ENCODED)
JOINT_FROM_MEAN = Setting("matrix_joint", "w_rows")
JOINT_FROM_ENCODER = Setting("matrix_joint", "w_rows", How.ENCODER)
BASELINE_JOINT = Setting("w_plus_joint", "w_plus", How.ENCODED)
ENCODERS = (BASELINE_JOINT, TWO_STAGE, JOINT, JOINT_FROM_ENCODER, JOINT_FROM_MEAN)
"""Rows of the table of encoders, besides those of :data:`SPACES`."""

UPSAMPLED = tuple(Setting(s.run, s.space, How.UPSAMPLED, images=8) for s in (W_PLUS, MATRIX, MATRIX_PLUS))
RESTARTED = tuple(Setting(s.run, s.space, How.RESTARTED, images=4, repeats=4) for s in (W_PLUS, MATRIX))

SETTINGS = (*SPACES, *ENCODERS, *UPSAMPLED, *RESTARTED)
