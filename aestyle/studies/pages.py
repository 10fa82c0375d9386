"""Pages for a browser: one HTML file that needs no other, and no network."""

from base64 import b64encode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from io import BytesIO
from pathlib import Path

from matplotlib.figure import Figure
from PIL import Image

WIDEST = 1024
"""Pictures that are wider are made smaller."""

STYLE = """
:root { color-scheme: light; }
body { font: 14px/1.45 system-ui, sans-serif; color: #222; background: #fff; margin: 2rem auto; padding: 0 1.5rem;
  max-width: 1500px; }
h1 { font-size: 1.5rem; margin: 0 0 .3rem; } h2 { font-size: 1.15rem; margin: 2.2rem 0 .6rem; }
p { margin: .3rem 0; } .note { color: #666; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th { text-align: left; vertical-align: bottom; font-weight: 600; border-bottom: 2px solid #999; }
th, td { padding: .3rem .7rem; white-space: nowrap; } td { border-bottom: 1px solid #e4e4e4; vertical-align: top; }
td.number, th.number { text-align: right; } td.text { white-space: normal; min-width: 18rem; }
tbody tr:hover td { background: #f5f7fa; }
th:first-child, td:first-child { position: sticky; left: 0; background: #fff; }
.chip { display: inline-block; width: .8em; height: .8em; border-radius: 2px; margin-right: .5em; }
.finished { color: #1a7f37; } .failed, .killed { color: #b42318; font-weight: 600; } .stopped { color: #9a6700; }
.running { color: #0757ad; }
.panels { display: grid; grid-template-columns: repeat(auto-fill, minmax(420px, 1fr)); gap: 1rem; }
.panels img { width: 100%; }
.pictures { display: grid; grid-template-columns: repeat(auto-fill, minmax(260px, 1fr)); gap: 1.2rem; }
figure { margin: 0; } figcaption { font-size: 12px; color: #444; overflow-wrap: anywhere; padding-top: .25rem; }
.pictures img { width: 100%; image-rendering: pixelated; border: 1px solid #ddd; }
"""


@dataclass(frozen=True)
class Html:
    """Markup that is right as it is; everything else is escaped."""

    markup: str


def text(content: "str | Html") -> str:
    """Content of an element."""
    return content.markup if isinstance(content, Html) else escape(content)


def element(tag: str, *content: "str | Html", **attributes: str) -> Html:
    """An element; ``class_`` stands for the attribute class."""
    given = "".join(f' {name.rstrip("_")}="{escape(value)}"' for name, value in attributes.items())
    return Html(f"<{tag}{given}>{''.join(map(text, content))}</{tag}>")


def table(columns: Sequence["str | Html"], rows: Iterable[Sequence["str | Html"]], numbers: Sequence[int] = ()) -> Html:
    """A table that scrolls by itself if it is too wide.

    Args:
        columns: headings.
        rows: cells.
        numbers: columns that hold numbers.
    """
    side = [{"class_": "number"} if i in numbers else {} for i in range(len(columns))]
    head = element("tr", *(element("th", name, **at) for name, at in zip(columns, side, strict=True)))
    body = [element("tr", *(element("td", cell, **at) for cell, at in zip(row, side, strict=True))) for row in rows]
    return element("div", element("table", element("thead", head), element("tbody", *body)), class_="wide")


def picture(path: Path) -> Html:
    """A picture from a file, made smaller if it is large; PNG, or JPEG where that is much smaller."""
    with Image.open(path) as image:
        shown = image.convert("RGB")
    if shown.width > WIDEST:
        shown = shown.resize((WIDEST, round(shown.height * WIDEST / shown.width)), Image.Resampling.LANCZOS)
    png, jpeg = BytesIO(), BytesIO()
    shown.save(png, "png", optimize=True)
    shown.save(jpeg, "jpeg", quality=92)
    small = jpeg if shown.width == WIDEST and 2 * jpeg.tell() < png.tell() else png
    return _image(small.getvalue(), "jpeg" if small is jpeg else "png")


def drawing(figure: Figure) -> Html:
    """A figure of matplotlib."""
    png = BytesIO()
    figure.savefig(png, format="png")
    return _image(png.getvalue(), "png")


def _image(content: bytes, kind: str) -> Html:
    return Html(f'<img alt="" src="data:image/{kind};base64,{b64encode(content).decode()}">')


def write_page(path: Path, title: str, *content: Html) -> Path:
    """Writes a page; gives back its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    head = (
        '<meta charset="utf-8">'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; '
        "style-src 'unsafe-inline'\">"
        '<meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{STYLE}</style>"
    )
    body = "\n".join([element("h1", title).markup, *(part.markup for part in content)])
    page = f'<!doctype html>\n<html lang="en">\n<head>{head}</head>\n<body>\n{body}\n</body>\n</html>\n'
    path.write_text(page, encoding="utf-8")
    return path
