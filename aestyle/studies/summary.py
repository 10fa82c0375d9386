"""A sweep at a glance: what its runs differ in, how far they came, what they measured and what they show."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

from matplotlib import colormaps
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from aestyle.studies.ending import Outcome
from aestyle.studies.pages import Html, drawing, element, picture, table, write_page
from aestyle.studies.runs import Run, differences, find_runs, styles

PAGE = "report.html"
KINDS = {"samples": "Samples", "reconstructions": "Reconstructions"}
MOST_COLUMNS = 12
"""More options than that are not shown in the table."""

MOST_PANELS = 24


def summarise(folder: str | Path) -> tuple[Path, list[Run]]:
    """Writes ``report.html`` into the folder of a sweep.

    Args:
        folder: holds the run folders of a multirun or a study, on any level down to the third.

    Returns:
        The page, and what is in it.

    Raises:
        UserError: there is no run folder.
    """
    runs = find_runs(folder)
    shown = differences(runs)
    numbers = styles(runs, shown)
    colours = _colours(max(numbers) + 1)
    chosen = [colours[number] for number in numbers]
    parts = [
        element("p", _counts(runs), class_="note"),
        element("h2", "Runs"),
        *_table(runs, shown, chosen),
        *_curves(runs, chosen),
        *(part for kind in KINDS for part in _pictures(runs, kind, chosen)),
    ]
    return write_page(Path(folder) / PAGE, f"Sweep {Path(os.path.abspath(folder)).name}", *parts), runs  # noqa: PTH100


def _counts(runs: Sequence[Run]) -> str:
    counts = Counter(run.note.outcome for run in runs)
    told = ", ".join(f"{counts[outcome]} {outcome}" for outcome in Outcome if counts[outcome])
    return f"{len(runs)} runs: {told}"


def _colours(count: int) -> list[str]:
    """Distinct colours: ten that everybody tells apart, else hues all around."""
    if count <= 10:
        return [to_hex(colour) for colour in colormaps["tab10"].colors[:count]]  # type: ignore[attr-defined]
    return [to_hex(colormaps["nipy_spectral"](0.05 + 0.9 * i / (count - 1))) for i in range(count)]


def _chip(colour: str, label: str) -> Html:
    return element("span", element("span", class_="chip", style=f"background:{colour}"), label)


def _table(runs: Sequence[Run], shown: Mapping[str, Sequence[str]], colours: Sequence[str]) -> list[Html]:
    options = list(shown)[:MOST_COLUMNS]
    metrics = sorted({name for run in runs for name in run.metrics})
    told = any(run.note.reason for run in runs)
    head = ["run", "state", "kimg", *(["what happened"] if told else []), *options, *metrics]
    rows: list[list[str | Html]] = []
    for i, run in enumerate(runs):
        state = element("span", run.note.outcome, class_=run.note.outcome)
        of = "" if run.budget is None else f" of {run.budget:g}"
        values = [f"{run.metrics[name]:.4g}" if name in run.metrics else "" for name in metrics]
        why = [element("span", run.note.reason, title=run.note.reason)] if told else []
        rows.append(
            [_chip(colours[i], run.name), state, f"{run.kimg:g}{of}", *why, *(shown[n][i] for n in options), *values]
        )
    first = len(head) - len(metrics)
    parts = [table([_breakable(name) for name in head], rows, numbers=[2, *range(first, len(head))])]
    if len(shown) > len(options):
        parts.append(element("p", f"They also differ in {', '.join(list(shown)[MOST_COLUMNS:])}.", class_="note"))
    return parts


def _breakable(name: str) -> Html:
    """A dotted or long name that may be broken between its parts."""
    return Html(escape(name).replace(".", ".<wbr>").replace("_", "_<wbr>"))


def _curves(runs: Sequence[Run], colours: Sequence[str]) -> list[Html]:
    curves = [run.curves() for run in runs]
    names = sorted({name for found in curves for name in found}, key=lambda name: (name.startswith("loss/"), name))
    drawn = []
    for name in names[:MOST_PANELS]:
        figure = Figure(figsize=(5.6, 3.2), dpi=110, layout="constrained")
        ax = figure.subplots()
        for found, colour in zip(curves, colours, strict=True):
            if points := found.get(name):
                marker = "o" if len(points) < 12 else ""
                ax.plot(
                    *zip(*points, strict=True), color=colour, linewidth=1.2, marker=marker, markersize=3, alpha=0.85
                )
        ax.set(title=name, xlabel="kimg")
        values = [value for found in curves for _, value in found.get(name, [])]
        if min(values) > 0 and max(values) > 10 * min(values):
            ax.set_yscale("log")
        ax.xaxis.set_major_locator(MaxNLocator(6))
        ax.grid(alpha=0.3)
        ax.spines[["top", "right"]].set_visible(False)
        drawn.append(drawing(figure))
    if not drawn:
        return []
    more = f" {len(names) - MOST_PANELS} more are left out." if len(names) > MOST_PANELS else ""
    note = f"The colours are those of the table; runs that differ in their seed alone share one.{more}"
    return [element("h2", "Curves"), element("p", note, class_="note"), element("div", *drawn, class_="panels")]


def _pictures(runs: Sequence[Run], kind: str, colours: Sequence[str]) -> list[Html]:
    figures = []
    for run, colour in zip(runs, colours, strict=True):
        if path := run.picture(kind):
            at = f", {float(path.stem.rpartition('-')[2]):g} kimg"
            figures.append(element("figure", picture(path), element("figcaption", _chip(colour, run.name + at))))
    return [element("h2", KINDS[kind]), element("div", *figures, class_="pictures")] if figures else []
