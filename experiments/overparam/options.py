"""The command line that tables, claims, figures and the record share."""

from collections.abc import Callable
from pathlib import Path

from aestyle.studies import showing
from aestyle.studies.showing import Options

FOLDER = Path("experiments") / "overparam"


def command(main: Callable[[Options], None], description: str | None) -> None:
    """Runs ``main`` on this study; see :func:`aestyle.studies.showing.command`."""
    showing.command(main, description, FOLDER)
