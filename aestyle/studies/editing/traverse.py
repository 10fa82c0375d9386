"""``task=traverse`` and ``task=truncate``."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from aestyle.errors import UserError
from aestyle.latents.mixing import Layers
from aestyle.latents.prior import affordable, mean_code, prior_codes
from aestyle.latents.traversal import (
    axis_direction,
    standard_step,
    truncate,
    widest_dimensions,
)
from aestyle.studies.editing.material import Material, Task, publish, require_images
from aestyle.studies.editing.strips import symmetric, walk
from aestyle.studies.options import is_number, require_whole
from aestyle.studies.sheets import Cell, Sheet


@dataclass(frozen=True)
class Traverse(Task):
    """Walks from codes along directions, in standard deviations of the prior's codes.

    Args:
        dimensions: indices of style dimensions; None: the ``rows`` ones in which the prior varies most.
        rows: how many of them.
        layers: layers that move; None: all.
        images: number of pictures to start from; None: all.
        reach: how far the walk goes to both sides, in standard deviations.
        columns: pictures in a row; odd, so that the reconstruction itself is in the middle.
    """

    dimensions: Sequence[int] | None = None
    rows: int = 6
    layers: Layers | None = None
    images: int | None = 1
    reach: float = 3.0
    columns: int = 7

    def __post_init__(self) -> None:
        """Refuses numbers that cannot be."""
        require_whole("task.rows", self.rows, 1)
        require_images(self.images, 1)
        symmetric(self.reach, self.columns)
        if self.dimensions is not None and not isinstance(self.dimensions, Sequence):
            raise UserError(f"task.dimensions={self.dimensions}: give a list, as [0,5]")

    def __call__(self, material: Material, output: Path) -> list[str]:
        """Writes ``traverse.png`` and ``traverse.safetensors``."""
        model = material.model
        prior = prior_codes(model, material.space, affordable(model))
        steps = {name: standard_step(d.to(prior), prior) for name, d in self._directions(material, prior).items()}
        path, walks = walk(material, steps, symmetric(self.reach, self.columns), output, "traverse")
        saved = material.save_codes(output / "traverse.safetensors", codes=material.codes, walks=walks)
        return [f"walks along {len(steps)} directions are in {path}, their codes in {saved}"]

    def _directions(self, material: Material, prior: Tensor) -> dict[str, Tensor]:
        space = material.model.spaces[material.space]
        layers = "0-" if self.layers is None else self.layers
        dimensions = widest_dimensions(prior, self.rows) if self.dimensions is None else self.dimensions
        for d in dimensions:
            require_whole("task.dimensions", d, 0)
        return {f"dimension {d}": axis_direction(space, d, layers) for d in dimensions}


@dataclass(frozen=True)
class Truncate(Task):
    """Codes between the prior's mean and beyond themselves.

    Args:
        psis: 0 is the mean, 1 the code.
        images: number of pictures; None: all.
    """

    psis: Sequence[float] = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25)
    images: int | None = 6

    def __post_init__(self) -> None:
        """Refuses what is no list of numbers."""
        require_images(self.images, 1)
        if not isinstance(self.psis, Sequence) or not self.psis or not all(map(is_number, self.psis)):
            raise UserError(f"task.psis={self.psis}: give some numbers, as [0,0.5,1]")

    def __call__(self, material: Material, output: Path) -> list[str]:
        """Writes ``truncate.png`` and ``truncate.safetensors``.

        Raises:
            UserError: the codes have no mean to go to.
        """
        if material.model.spaces[material.space].sphere:
            raise UserError(f"task=truncate: codes of {material.space} lie on a sphere, around a mean that is no code")
        codes = truncate(material.codes, mean_code(material.model, material.space), self.psis)
        images = material.decode(codes, material.space, "truncating")
        originals = material.originals()
        aside = len(originals[0])
        sheet = Sheet(
            [[*original, *map(Cell, row)] for original, row in zip(originals, images, strict=True)],
            title=f"codes of {material.space} between the mean (ψ = 0) and themselves (ψ = 1)",
            columns=[*["picture"] * aside, *(f"ψ = {psi:g}" for psi in self.psis)],
            rows=material.names,
            column_groups=[aside],
        )
        path = publish(sheet, output, "truncate")
        saved = material.save_codes(output / "truncate.safetensors", truncated=codes, codes=material.codes)
        return [f"{len(codes)} pictures at {len(self.psis)} truncations are in {path}, their codes in {saved}"]
