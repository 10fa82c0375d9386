"""Contact sheets: labelled rows and columns of pictures in one PNG, and films."""

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from html import escape
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path

import matplotlib
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from aestyle.studies.pictures import to_pil

CELL = 96
"""Small pictures are enlarged by a whole number to at most this many pixels a side."""

FILM = 256
"""Likewise for films."""

_FONT, _TITLE, _LINE = 12, 15, 17
_GAP, _GROUP, _MARGIN, _PAD = 3, 14, 14, 8
_INK, _GREY, _PAPER = "#222222", "#666666", "white"

_PAGE = f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>{{title}}</title>
<style>
body {{{{ font: 14px sans-serif; color: {_INK}; background: {_PAPER}; margin: 2em; }}}}
th, td {{{{ font-weight: normal; color: {_GREY}; padding: 4px; text-align: center; white-space: pre-line; }}}}
img {{{{ display: block; margin: auto; width: {CELL}px; image-rendering: pixelated; }}}}
</style>
<h1>{{title}}</h1>
{{notes}}
<table>
{{table}}
</table>
</html>
"""


@dataclass(frozen=True)
class Cell:
    """A picture in a sheet.

    Args:
        image: (C, R, R) in [-1, 1].
        caption: a short line below it.
    """

    image: Tensor
    caption: str = ""


@dataclass(frozen=True)
class Sheet:
    """Rows of pictures with labels above the columns and left of the rows.

    Args:
        cells: the rows; None leaves a place empty.
        title: heading.
        columns: labels above the columns.
        rows: labels left of the rows.
        row_groups: numbers of rows that are set apart from those above.
        column_groups: numbers of columns that are set apart from those on the left.
    """

    cells: Sequence[Sequence[Cell | None]]
    title: str = ""
    columns: Sequence[str] = ()
    rows: Sequence[str] = ()
    row_groups: Sequence[int] = ()
    column_groups: Sequence[int] = ()

    def save(self, path: Path) -> Path:
        """Writes it as a PNG, making the folder; gives back the path."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self.draw().save(path)
        return path

    def save_html(self, path: Path, notes: Sequence[str] = ()) -> Path:
        """Writes it as a page that needs no other file, making the folder; gives back the path.

        Args:
            path: the page.
            notes: lines below the heading.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        head = "".join(f"<th>{escape(label)}</th>" for label in ("", *self.columns))
        labels = [*self.rows, *[""] * (len(self.cells) - len(self.rows))]
        rows = [
            f"<tr><th>{escape(label)}</th>{''.join(map(_html, row))}</tr>"
            for label, row in zip(labels, self.cells, strict=True)
        ]
        lines = "".join(f"<p>{escape(note)}</p>" for note in notes)
        table = "\n".join([f"<tr>{head}</tr>", *rows])
        path.write_text(_PAGE.format(title=escape(self.title), notes=lines, table=table), encoding="utf-8")
        return path

    def draw(self) -> Image.Image:
        """The sheet as an RGB picture."""
        pictures = [[to_pil(cell.image, CELL) if cell else None for cell in row] for row in self.cells]
        side = next(picture.width for row in pictures for picture in row if picture)
        captions = any(cell and cell.caption for row in self.cells for cell in row)
        height = side + (_LINE if captions else 0)
        labels = [_shorten(label, 180) for label in self.rows]
        left = _MARGIN + (max(map(_width, labels)) + _PAD if labels else 0)
        top = _MARGIN + (_LINE + _PAD if self.title else 0) + (_LINE if self.columns else 0)
        xs = _places(left, side, max(map(len, self.cells)), self.column_groups)
        ys = _places(top, height, len(self.cells), self.row_groups)
        title = _shorten(self.title, 2000)
        width = max(xs[-1] + side, _MARGIN + _width(title, _TITLE)) + _MARGIN
        sheet = Image.new("RGB", (width, ys[-1] + height + _MARGIN), _PAPER)
        draw = ImageDraw.Draw(sheet)
        draw.text((_MARGIN, _MARGIN - 2), title, _INK, _font(_TITLE))
        for x, label in zip(xs, self.columns, strict=False):
            draw.text((x + side / 2, top - 4), _shorten(label, side), _GREY, _font(), anchor="ms")
        for y, label in zip(ys, labels, strict=False):
            draw.text((left - _PAD, y + side / 2), label, _GREY, _font(), anchor="rm")
        for y, row, cells in zip(ys, pictures, self.cells, strict=True):
            for x, picture, cell in zip(xs, row, cells, strict=False):
                if picture and cell:
                    sheet.paste(picture, (x, y))
                    draw.text((x + side / 2, y + side + 12), cell.caption, _GREY, _font(), anchor="ms")
        return sheet


def save_gif(frames: Tensor, path: Path, fps: float) -> Path:
    """Writes images (N, C, R, R) in [-1, 1] as an endless GIF; gives back the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    first, *others = (to_pil(frame, FILM).convert("RGB") for frame in frames)
    first.save(path, save_all=True, append_images=others, duration=round(1000 / fps), loop=0)
    return path


def can_write_mp4() -> bool:
    """Whether the optional package ``av`` is installed."""
    return find_spec("av") is not None


def save_mp4(frames: Tensor, path: Path, fps: int) -> Path:
    """Writes images (N, C, R, R) in [-1, 1] as an H.264 film, which needs the package ``av``; gives back the path."""
    import av  # optional

    path.parent.mkdir(parents=True, exist_ok=True)
    pictures = [to_pil(frame, FILM).convert("RGB") for frame in frames]
    with av.open(str(path), "w") as film:
        stream = film.add_stream("libx264", rate=fps, width=pictures[0].width, height=pictures[0].height)
        stream.pix_fmt, stream.options = "yuv420p", {"crf": "16"}
        for picture in pictures:
            film.mux(stream.encode(av.VideoFrame.from_image(picture)))
        film.mux(stream.encode())
    return path


def _places(start: int, size: int, count: int, groups: Sequence[int]) -> list[int]:
    """Where each of ``count`` pictures begins; those from a number in ``groups`` on lie farther away."""
    return [start + i * (size + _GAP) + _GROUP * sum(0 < first <= i for first in groups) for i in range(count)]


def _html(cell: Cell | None) -> str:
    """A cell as an element of a table's row, with its picture inside."""
    if cell is None:
        return "<td></td>"
    png = BytesIO()
    to_pil(cell.image).save(png, "png")
    data = b64encode(png.getvalue()).decode()
    return f'<td><img alt="" src="data:image/png;base64,{data}">{escape(cell.caption)}</td>'


@cache
def _font(size: int = _FONT) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf", size)


def _width(text: str, size: int = _FONT) -> int:
    return round(_font(size).getlength(text))


def _shorten(text: str, width: int) -> str:
    if _width(text) <= width:
        return text
    while text and _width(text + "…") > width:
        text = text[:-1]
    return text + "…"
