"""``task=direction``."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from aestyle.errors import UserError
from aestyle.latents.directions import read_directions
from aestyle.latents.mixing import Layers, layered_space
from aestyle.latents.traversal import only_layers
from aestyle.studies.editing.material import Material, Task, require_images
from aestyle.studies.editing.strips import walk
from aestyle.studies.options import is_number


@dataclass(frozen=True)
class Direction(Task):
    """Moves pictures along stored directions, those of ``ganspace``, ``sefa`` or ``attributes``.

    Args:
        file: of directions.
        names: names or numbers (from 0) of those to take; None: the first six.
        strengths: how far to go, in standard deviations; 0 is the picture itself.
        layers: layers that move; None: those of the directions.
        images: number of pictures; None: all.
    """

    file: str
    names: Sequence[str | int] | str | int | None = None
    strengths: Sequence[float] = (-3.0, -1.5, 0.0, 1.5, 3.0)
    layers: Layers | None = None
    images: int | None = 4

    def __post_init__(self) -> None:
        """Refuses what is no list of numbers."""
        require_images(self.images, 1)
        if not isinstance(self.strengths, Sequence) or not self.strengths or not all(map(is_number, self.strengths)):
            raise UserError(f"task.strengths={self.strengths}: give some numbers, as [-2,0,2]")

    def __call__(self, material: Material, output: Path) -> list[str]:
        """Writes ``direction.png``, ``.html`` and the edited codes, ``direction.safetensors``."""
        found = read_directions(Path(self.file))
        names = [self.names] if isinstance(self.names, str | int) else self.names
        found = found.choose(list(found.names)[:6] if names is None else names)
        model = material.model
        space = found.place(model, material.space)
        if self.layers is not None:
            space = layered_space(model, space)
        steps = [
            only_layers(step, model.spaces[space], self.layers or "0-") for step in found.steps(model.spaces[space])
        ]
        named = dict(zip(found.names, steps, strict=True))
        picture, walks = walk(material, named, self.strengths, output, "direction", space)
        saved = material.save_codes(
            output / "direction.safetensors", space, codes=material.codes_in(space), edited=walks
        )
        return [f"{len(walks)} pictures moved along {', '.join(found.names)} are in {picture}, their codes in {saved}"]
