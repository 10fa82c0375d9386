"""What there is to choose from, in the words of the files themselves."""

import re
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path

from aestyle.errors import UserError
from aestyle.resolvers import CONF

PACKAGE = Path(__file__).parent.parent
SHIPPED = PACKAGE / "shipped"
COMMAND = "python -m aestyle"

GROUPS = {
    "commands": (COMMAND,),
    "methods": ("method",),
    "parts": tuple(f"method/{path.name}" for path in sorted((CONF / "method").iterdir()) if path.is_dir()),
    "datasets": ("dataset",),
    "metrics": ("metrics",),
    "tasks": ("task",),
    "inversion": ("schedule", "loss", "tune"),
    "experiments": ("experiment",),
    "running": ("scale", "trainer", "launcher", "search", "logger", "debug"),
    "models": ("ckpt",),
}
"""Folders of ``conf`` by what they hold; ``ckpt`` stands for the package's models, ``python -m`` for its commands."""


def catalogue(what: str = "all") -> list[str]:
    """One line for each choice: the option to type, and the first sentence of the comment in its file.

    Args:
        what: one of :data:`GROUPS`, or ``all``, which puts a title above each.

    Raises:
        UserError: there is no such kind.
    """
    if what not in ("all", *GROUPS):
        raise UserError(f"what={what}: choose one of {', '.join(('all', *GROUPS))}")
    lines = []
    for kind in GROUPS if what == "all" else (what,):
        found = dict(choice for group in GROUPS[kind] for choice in _choices(group))
        width = max(map(len, found))
        lines += ["", f"{kind}:"] if what == "all" else []
        lines += [f"{option:{width}}  {sentence}" for option, sentence in found.items()]
    return lines[1:] if what == "all" else lines


def _choices(group: str) -> Iterator[tuple[str, str]]:
    if group == COMMAND:
        yield from _commands()
        return
    files = SHIPPED.glob("*.md") if group == "ckpt" else (CONF / group).glob("*.yaml")
    for path in sorted(files):
        yield f"{group}={path.stem}", first_sentence(path.read_text(encoding="utf-8"))


def _commands() -> Iterator[tuple[str, str]]:
    for path in sorted(PACKAGE.glob("*.py")):
        text = path.read_text(encoding="utf-8")
        if f'@entry("{path.stem}")' in text:
            yield f"{COMMAND}.{path.stem}", re.split(r": ``|\.?\n|\.?\"{3}", text.removeprefix('"""'))[0]


def first_sentence(text: str) -> str:
    """The first sentence of a configuration's opening comment, or of a model card below its title.

    Args:
        text: YAML that begins with ``#`` lines, or Markdown that begins with one ``#`` line.
    """
    lines = [line for line in text.splitlines() if not line.startswith("# @package")]
    comment = [line.removeprefix("#").strip() for line in takewhile(lambda line: line.startswith("#"), lines)]
    if len(comment) == 1 and len(lines) > 1 and not lines[1].strip():  # a title, and the text below it
        comment = list(takewhile(str.strip, lines[2:]))
    return re.split(r"(?<=\.)\s+(?=[A-Z`*])", " ".join(comment))[0]
