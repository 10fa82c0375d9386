"""Progressive growth (Karras et al., 2018) as a pure function of the images seen."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from aestyle.errors import UserError

START = 4
"""Side of the images of phase 0."""


@dataclass(frozen=True)
class Stage:
    """Where in its growth a method is.

    Args:
        phase: number of doublings from 4 pixels on.
        alpha: how much the newest block counts: from 0 to 1 in the first half of a phase, then 1. In phase 0, which has
            nothing to fade from, it rises all the same.
    """

    phase: int
    alpha: float

    @property
    def resolution(self) -> int:
        """Side of the images that the networks see."""
        return START * 2**self.phase

    @property
    def stable(self) -> bool:
        """Whether the newest block is there altogether."""
        return self.alpha >= 1


@dataclass(frozen=True)
class Growth:
    """When networks grow, and how many images an iteration has.

    Args:
        resolution: side of the images at the end, in pixels.
        stage_kimg: thousand images a phase lasts; the last one goes on.
        progressive: False trains at ``resolution`` from the start, nothing faded.
        batch_sizes: images an iteration over all devices at a resolution; the run's ``batch_size`` where it has none.

    Raises:
        UserError: a length or size is not positive.
    """

    resolution: int
    stage_kimg: float
    progressive: bool = True
    batch_sizes: Mapping[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuses what cannot be."""
        if self.stage_kimg <= 0 or self.stage_images < 1:
            raise UserError(f"method.growth.stage_kimg={self.stage_kimg}: give a number above 0")
        for resolution, size in self.batch_sizes.items():
            if not isinstance(size, int) or size < 1:
                raise UserError(f"method.growth.batch_sizes: {size} at {resolution} px; give whole numbers above 0")

    @property
    def stage_images(self) -> int:
        """Images a phase lasts."""
        return round(self.stage_kimg * 1000)

    @property
    def last_phase(self) -> int:
        """The phase in which the images have their full size."""
        return (self.resolution // START).bit_length() - 1

    def at(self, images_seen: int) -> Stage:
        """The stage of the iteration that begins at ``images_seen``."""
        if not self.progressive:
            return Stage(self.last_phase, 1.0)
        phase = min(images_seen // self.stage_images, self.last_phase)
        return Stage(phase, min(1.0, 2 * (images_seen - phase * self.stage_images) / self.stage_images))

    def batches(self, default: int) -> dict[int, int]:
        """For the ``images_seen`` at which each phase begins, the images an iteration has from there on."""
        if not self.progressive:
            return {0: self.batch_sizes.get(self.resolution, default)}
        stages = (Stage(phase, 1.0) for phase in range(self.last_phase + 1))
        return {s.phase * self.stage_images: self.batch_sizes.get(s.resolution, default) for s in stages}
