"""``task=upsample``."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from aestyle.latents.degraded import default_factor, seen_from_afar, shrink
from aestyle.latents.inversion import Schedule, Weighted, invert_pictures
from aestyle.latents.optimize import Optimized
from aestyle.latents.spaces import find_space
from aestyle.studies.batching import in_batches
from aestyle.studies.editing.material import Material, Task, publish, require_images
from aestyle.studies.options import require_whole
from aestyle.studies.sheets import Cell, Sheet


@dataclass(frozen=True)
class Upsample(Task):
    """Pictures of the model that look like given ones from afar (PULSE: Menon et al., arXiv:2003.03808).

    Codes are optimised so that their images, made small, come close to the pictures made small; shrinking toward the
    mean goes on to the end, which keeps the images likely (overparameterised StyleGAN, section 4.4).

    Args:
        losses: what is to become small, by name.
        factor: how much smaller; None: to 16 pixels a side (16 times at 256), at least twice.
        schedule: of the optimisation.
        space: space of the codes, or another word for it (``matrix``, ``layer_matrices``); None: the model's own.
        start: ``mean``, ``random`` or ``encoder`` (of the enlarged small picture).
        images: number of pictures; None: all.
    """

    losses: Mapping[str, Weighted]
    factor: int | None = None
    schedule: Schedule = field(default_factory=lambda: Schedule(steps=300, shrink_until=1.0))
    space: str | None = None
    start: str = "mean"
    images: int | None = 6

    def __post_init__(self) -> None:
        """Refuses numbers that cannot be."""
        require_images(self.images, 1)
        if self.factor is not None:
            require_whole("task.factor", self.factor, 2)

    def __call__(self, material: Material, output: Path) -> list[str]:
        """Writes ``upsample.png``, ``.html`` and the codes, ``upsample.safetensors``."""
        targets, space = material.targets, find_space(material.model, self.space)
        factor = self.factor or default_factor(material.model.resolution)
        small = shrink(targets, factor).repeat_interleave(factor, -1).repeat_interleave(factor, -2)
        far = {name: Weighted(seen_from_afar(d, factor), weight) for name, (d, weight) in self.losses.items()}

        def run(batch: Tensor, position: int, progress: Callable[[int], None]) -> Optimized:
            how = (space, self.start, self.schedule, 1, 0, position, progress)
            return invert_pictures(material.model, batch, far, *how)

        codes = in_batches(run, small, material.batch_size, self.schedule.steps, "upsampling").codes
        found = material.decode(codes, space).to(targets)
        rows = []
        with torch.no_grad():
            remaining = [distance(small, found) for distance, _ in far.values()]
        for i, picture in enumerate(targets):
            caption = "  ".join(f"{values[i]:.3f}" for values in remaining)
            rows.append([Cell(picture), Cell(small[i]), Cell(found[i], caption)])
        size = targets.shape[-1]
        sheet = Sheet(
            rows,
            title=f"{size // factor} to {size} pixels in {space}; below: {', '.join(far)} of the small pictures",
            columns=["picture", f"{factor} x smaller", "found"],
            rows=material.names,
        )
        path = publish(sheet, output, "upsample")
        saved = material.save_codes(output / "upsample.safetensors", space, codes=codes)
        means = ", ".join(f"{name} {values.mean():.4f}" for name, values in zip(far, remaining, strict=True))
        return [
            f"{len(codes)} pictures of {size // factor} pixels enlarged (mean {means}) are in {path}, codes in {saved}"
        ]
