"""``task=grid``."""

from dataclasses import dataclass
from pathlib import Path

from aestyle.errors import UserError
from aestyle.latents.interpolation import between_corners
from aestyle.studies.editing.material import Material, Task, publish
from aestyle.studies.options import require_whole
from aestyle.studies.sheets import Cell, Sheet


@dataclass(frozen=True)
class Grid(Task):
    """What lies between four pictures: their reconstructions are the corners of a square (PIONEER, Figure 5).

    Args:
        how: ``lerp`` or ``slerp``.
        space: where the ways run: that of the codes (None) or a wider one.
        side: pictures in a row and in a column, corners included.
    """

    how: str = "slerp"
    space: str | None = None
    side: int = 8

    def __post_init__(self) -> None:
        """Refuses a number that cannot be."""
        require_whole("task.side", self.side, 2)

    @property
    def images(self) -> int:
        """The corners."""
        return 4

    def __call__(self, material: Material, output: Path) -> list[str]:
        """Writes ``grid.png``, ``.html`` and ``.safetensors``.

        Raises:
            UserError: there are fewer than four pictures.
        """
        if len(material.names) < 4:
            raise UserError(f"task=grid lies between 4 pictures: {len(material.names)} are too few")
        space = self.space or material.space
        corners = material.codes_in(space)[:4]
        codes = between_corners(corners, self.side, self.how)
        body = [[Cell(image) for image in row] for row in material.decode(codes, space, "grid")]
        ends = material.originals()
        aside = len(ends[0])
        blank: list[Cell | None] = [None] * aside
        left = [ends[0], *[blank] * (self.side - 2), ends[2]]
        right = [ends[1], *[blank] * (self.side - 2), ends[3]]
        sheet = Sheet(
            [[*a, *row, *b] for a, row, b in zip(left, body, right, strict=True)],
            title=f"{self.how} in {space} between {', '.join(material.names[:4])}",
            columns=[*["picture"] * aside, *[""] * self.side, *["picture"] * aside],
            column_groups=[aside, aside + self.side],
        )
        path = publish(sheet, output, "grid")
        saved = material.save_codes(output / "grid.safetensors", space, grid=codes, codes=corners)
        return [f"{self.side} x {self.side} pictures between four are in {path}, their codes in {saved}"]
