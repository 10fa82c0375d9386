"""``task=grid``."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

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
        title = f"{self.how} in {space} between {', '.join(material.names[:4])}"
        sheet = square(material.decode(codes, space, "grid"), material.originals()[:4], title)
        path = publish(sheet, output, "grid")
        saved = material.save_codes(output / "grid.safetensors", space, grid=codes, codes=corners)
        return [f"{self.side} x {self.side} pictures between four are in {path}, their codes in {saved}"]


def square(images: Tensor, corners: Sequence[Sequence[Cell | None]], title: str = "") -> Sheet:
    """A square of pictures beside those that its corners reconstruct.

    Args:
        images: (side, side, C, R, R) in [-1, 1].
        corners: pictures to show beside the top left, top right, bottom left and bottom right corner; equally many.
        title: heading.
    """
    aside, side = len(corners[0]), len(images)
    blank: list[Sequence[Cell | None]] = [[None] * aside] * (side - 2)
    left, right = [corners[0], *blank, corners[2]], [corners[1], *blank, corners[3]]
    return Sheet(
        [[*a, *map(Cell, row), *b] for a, row, b in zip(left, images, right, strict=True)],
        title=title,
        columns=[*["picture"] * aside, *[""] * side, *["picture"] * aside],
        column_groups=[aside, aside + side],
    )
