"""``task=restarts``."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from aestyle.latents.interpolation import choose_pairs, interpolate
from aestyle.latents.inversion import Schedule, Weighted, invert_pictures
from aestyle.latents.optimize import Optimized
from aestyle.latents.prior import prior_codes
from aestyle.latents.restarts import pairwise
from aestyle.latents.spaces import find_space
from aestyle.studies.batching import in_batches
from aestyle.studies.editing.material import Material, Task, publish, require_images
from aestyle.studies.options import require_whole
from aestyle.studies.sheets import Cell, Sheet


@dataclass(frozen=True)
class Restarts(Task):
    """One picture inverted from several random codes: whether different codes show the same.

    This is Figure 11 of the paper on overparameterised StyleGAN. Distances between the codes found, and between their
    images, are given as parts of those between independent samples: codes near 1 with images near 0 say that the model
    is far from injective.

    Args:
        losses: what is to become small, by name.
        restarts: codes for each picture.
        schedule: of the optimisation; the paper leaves shrinking out here.
        space: space of the codes, or another word for it (``matrix``, ``layer_matrices``); None: the model's own.
        columns: pictures of the way between the first two codes.
        images: number of pictures; None: all.
        seed: of the starts.
    """

    losses: Mapping[str, Weighted]
    restarts: int = 4
    schedule: Schedule = field(default_factory=lambda: Schedule(steps=300, shrink_until=0.0))
    space: str | None = None
    columns: int = 5
    images: int | None = 1
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuses numbers that cannot be."""
        require_images(self.images, 1)
        require_whole("task.restarts", self.restarts, 2)
        require_whole("task.columns", self.columns, 3)
        require_whole("task.seed", self.seed, 0)

    def __call__(self, material: Material, output: Path) -> list[str]:
        """Writes ``restarts.png``, ``.html`` and ``.safetensors``, with the distances of all pairs of codes."""
        model, targets, space = material.model, material.targets, find_space(material.model, self.space)

        def run(batch: Tensor, position: int, progress: Callable[[int], None]) -> Optimized:
            how = (space, "random", self.schedule, 1, self.seed, position, progress)
            return invert_pictures(model, batch, self.losses, *how)

        repeated = targets.repeat_interleave(self.restarts, dim=0)  # every position has a start of its own
        flat = in_batches(run, repeated, material.batch_size, self.schedule.steps, "restarting").codes
        codes = flat.unflatten(0, (len(targets), self.restarts))
        images = material.decode(codes, space).to(targets)
        ways = torch.stack([interpolate(own[:2], self.columns - 1) for own in codes])
        strips = material.decode(ways, space)
        others = prior_codes(model, space, 8, self.seed + 1)
        references = pairwise(others, material.decode(others, space).to(targets), self.losses)
        found = [pairwise(own, shown, self.losses) for own, shown in zip(codes, images, strict=True)]
        parts = {name: torch.stack([d[name] for d in found]) / references[name].mean() for name in references}
        sheet = Sheet(
            [
                [Cell(target), *map(Cell, shown), *map(Cell, strip)]
                for target, shown, strip in zip(targets, images, strips, strict=True)
            ],
            title=f"{self.restarts} inversions from random codes of {space}; right: the way from 1 to 2",
            columns=[
                *(material.decoded if material.images is None else "picture", *map(str, range(1, self.restarts + 1))),
                *(f"{i / (self.columns - 1):.2f}" for i in range(self.columns)),
            ],
            rows=material.names,
            column_groups=[1, 1 + self.restarts],
        )
        told = ", ".join(f"{name} {values.mean():.3f}" for name, values in parts.items())
        note = f"distances between restarts as parts of those between samples: {told}"
        path = publish(sheet, output, "restarts", [note])
        pairs = {f"distances/{name}": values for name, values in parts.items()}
        saved = material.save_codes(
            output / "restarts.safetensors", space, codes=codes[:, 0].clone(), restarts=codes, **pairs
        )
        count = len(choose_pairs(self.restarts, "all"))
        return [note, f"{len(codes)} pictures, {count} pairs of codes each, are in {path}, codes in {saved}"]
