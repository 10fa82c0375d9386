"""What every published layout needs: files that must be there, and tables in text files."""

import re
from collections.abc import Iterator
from pathlib import Path

from aestyle.errors import UserError


def require(path: Path, help: str) -> Path:
    """The path, if something is there.

    Raises:
        UserError: If not; with ``help``, which says what to get and where to put it.
    """
    if not path.exists():
        raise UserError(f"{path}: is not there; {help}")
    return path


def find(root: Path, name: str, help: str) -> Path:
    """The first file of this name, perhaps gzipped, anywhere below ``root``.

    Raises:
        UserError: If there is none; with ``help``.
    """
    for pattern in (name, f"{name}.gz"):
        for file in sorted(root.rglob(pattern)):
            return file
    raise UserError(f"{root}: no {name} there; {help}")


def table(file: Path, columns: int) -> Iterator[list[str]]:
    """The lines of a text file that have at least this many columns, split at blanks and commas."""
    for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
        fields = re.split(r"[\s,]+", line.strip())
        if len(fields) >= columns:
            yield fields
