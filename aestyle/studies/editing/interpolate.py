"""``task=interpolate``."""

from dataclasses import dataclass
from pathlib import Path

import torch

from aestyle.latents.interpolation import choose_pairs, interpolate, path_lengths
from aestyle.latents.inversion import Distance
from aestyle.studies.editing.material import Material, Task, publish, require_images
from aestyle.studies.options import require_whole
from aestyle.studies.sheets import Cell, Sheet, can_write_mp4, save_gif, save_mp4


@dataclass(frozen=True)
class Interpolate(Task):
    """Ways between pictures, as a strip for each pair and as a film through all of them.

    The length of a way is the sum of the distances of neighbours among its pictures (overparameterised StyleGAN,
    section 4.3): short where codes change evenly and no strange pictures lie between.

    Args:
        how: ``lerp`` or ``slerp``.
        space: where the ways run: that of the codes (None) or a wider one.
        images: number of pictures; None: all.
        pairs: ``neighbours``: from each picture to the next; ``all``: from each to each.
        columns: pictures in a strip, both ends included.
        distance: of pictures, for the length of a way; None leaves it out.
        segments: parts of a way whose lengths are added.
        frames: frames of the film from one picture to the next.
        fps: frames a second.
        closed: the film goes back to its first picture.
    """

    how: str = "lerp"
    space: str | None = None
    images: int | None = 5
    pairs: str = "neighbours"
    columns: int = 8
    distance: Distance | None = None
    segments: int = 5
    frames: int = 24
    fps: int = 24
    closed: bool = True

    def __post_init__(self) -> None:
        """Refuses numbers that cannot be."""
        for name, least in {"columns": 2, "segments": 1, "frames": 1, "fps": 1}.items():
            require_whole(f"task.{name}", getattr(self, name), least)
        require_images(self.images, 2)
        choose_pairs(2, self.pairs)

    def __call__(self, material: Material, output: Path) -> list[str]:
        """Writes ``interpolate.png``, ``.html``, ``.gif``, ``.mp4`` where ``av`` is there, and ``.safetensors``.

        The latter holds the codes, the midpoints of all pairs and, in the order of the film, those of its frames.
        """
        model = material.model
        space = self.space or material.space
        codes = material.codes_in(space)
        film = interpolate(codes, self.frames, self.how, self.closed)
        pairs = choose_pairs(len(codes), self.pairs)
        ways = torch.stack([interpolate(codes[[a, b]], self.columns - 1, self.how) for a, b in pairs])
        midpoints = torch.cat([interpolate(codes[[a, b]], 2, self.how)[1:2] for a, b in pairs])
        lengths = None
        if self.distance is not None:
            how = (space, self.segments, self.how, material.batch_size)
            lengths = path_lengths(model, codes, pairs, self.distance, *how)
        written = [publish(self._sheet(material, space, pairs, ways, lengths), output, "interpolate")]
        frames = material.decode(film, space, "film")
        written.append(save_gif(frames, output / "interpolate.gif", self.fps))
        notes = []
        if lengths is not None:
            notes = [f"mean length of {len(lengths)} ways, in {self.segments} segments: {lengths.mean():.4f}"]
        if can_write_mp4():
            written.append(save_mp4(frames, output / "interpolate.mp4", self.fps))
        else:
            notes.append("no mp4: it takes the package av (pip install 'aestyle[video]')")
        found = {"path": film, "midpoints": midpoints, **({} if lengths is None else {"lengths": lengths})}
        written.append(material.save_codes(output / "interpolate.safetensors", space, codes=codes, **found))
        return [*notes, f"the ways between {len(codes)} pictures are in {', '.join(map(str, written))}"]

    def _sheet(
        self,
        material: Material,
        space: str,
        pairs: list[tuple[int, int]],
        ways: torch.Tensor,
        lengths: torch.Tensor | None,
    ) -> Sheet:
        """Strips between the pictures that their ends were made from."""
        ends = material.originals()
        aside, steps = len(ends[0]), self.columns - 1
        rows = []
        for i, ((a, b), images) in enumerate(zip(pairs, material.decode(ways, space, "strips"), strict=True)):
            strip = [Cell(image) for image in images]
            if lengths is not None:
                strip[0] = Cell(images[0], f"length {lengths[i]:.3f}")
            rows.append([*ends[a], *strip, *ends[b]])
        return Sheet(
            rows,
            title=f"{self.how} in {space}",
            columns=[*["picture"] * aside, *(f"{i / steps:.2f}" for i in range(steps + 1)), *["picture"] * aside],
            rows=[f"{material.names[a]} – {material.names[b]}" for a, b in pairs],
            column_groups=[aside, aside + steps + 1],
        )
