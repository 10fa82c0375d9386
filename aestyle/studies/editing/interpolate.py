"""``task=interpolate``."""

from dataclasses import dataclass
from pathlib import Path

from aestyle.latents.interpolation import interpolate
from aestyle.studies.editing.material import Material, require_images
from aestyle.studies.options import require_whole
from aestyle.studies.sheets import Cell, Sheet, can_write_mp4, save_gif, save_mp4


@dataclass(frozen=True)
class Interpolate:
    """A path through pictures, as a strip for each pair of neighbours and as a film of all.

    Args:
        how: ``lerp`` or ``slerp``.
        space: where the path runs: the model's own space (None) or a wider one.
        images: number of pictures it goes through; None: all.
        columns: pictures in a strip, both ends included.
        frames: frames of the film from one picture to the next.
        fps: frames a second.
        closed: the film goes back to its first picture.
    """

    how: str = "lerp"
    space: str | None = None
    images: int | None = 5
    columns: int = 8
    frames: int = 24
    fps: int = 24
    closed: bool = True

    def __post_init__(self) -> None:
        """Refuses numbers that cannot be."""
        for name, least in {"columns": 2, "frames": 1, "fps": 1}.items():
            require_whole(f"task.{name}", getattr(self, name), least)
        require_images(self.images, 2)

    def __call__(self, material: Material, output: Path) -> list[str]:
        """Writes ``interpolate.png``, ``.gif``, ``.mp4`` where the package ``av`` is there, and ``.safetensors``."""
        model = material.model
        space = self.space or model.code_space
        codes = model.convert_code(material.codes, model.code_space, space)
        steps = self.columns - 1
        path = interpolate(codes, steps, self.how)
        strip = [Cell(image) for image in material.decode(path, space, "strips")]
        ends = material.originals()
        rows = [
            [*ends[i], *strip[i * steps : (i + 1) * steps + 1], *ends[i + 1]] for i in range(len(material.names) - 1)
        ]
        aside = len(ends[0])
        sheet = Sheet(
            rows,
            title=f"{self.how} in {space}",
            columns=[*["picture"] * aside, *(f"{i / steps:.2f}" for i in range(steps + 1)), *["picture"] * aside],
            rows=[f"{a} – {b}" for a, b in zip(material.names, material.names[1:], strict=False)],
            column_groups=[aside, aside + steps + 1],
        )
        film = material.decode(interpolate(codes, self.frames, self.how, self.closed), space, "film")
        written = [sheet.save(output / "interpolate.png"), save_gif(film, output / "interpolate.gif", self.fps)]
        missing = []
        if can_write_mp4():
            written.append(save_mp4(film, output / "interpolate.mp4", self.fps))
        else:
            missing = ["no mp4: it takes the package av (pip install 'aestyle[video]')"]
        written.append(material.save_codes(output / "interpolate.safetensors", space, path=path, codes=codes))
        return [*missing, f"the way through {len(codes)} pictures is in {', '.join(map(str, written))}"]
