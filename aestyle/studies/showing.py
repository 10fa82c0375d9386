"""The command line of the scripts that show what a study's recorded runs say."""

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from aestyle.errors import UserError
from aestyle.resolvers import cuda_available
from aestyle.studies.results import Results


@dataclass(frozen=True)
class Options:
    """What is to be shown.

    Args:
        scale: ``cpu`` or ``paper``.
        runs: where the run folders are; None: where the study puts them, below the current folder.
        folder: the study.
    """

    scale: str
    runs: Path | None
    folder: Path

    @property
    def output(self) -> Path:
        """Where files are written."""
        return self.folder / "out" / self.scale

    def results(self) -> Results:
        """The recorded runs of this scale."""
        return Results.load(self.folder, self.scale, self.runs)


def command(main: Callable[[Options], None], description: str | None, folder: Path) -> None:
    """Reads the command line and runs ``main``; what the user can mend is told in one line.

    Args:
        main: what to run.
        description: for ``--help``.
        folder: the study, as seen from the top of the checkout, where every such command is called.
    """
    given = parser(description, folder).parse_args()
    with in_one_line():
        main(chosen(given))


def parser(description: str | None, folder: Path) -> argparse.ArgumentParser:
    """What :func:`command` reads, for a script that takes more options."""
    options = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--scale", choices=("auto", "cpu", "paper"), default="auto", help="auto: paper with CUDA")
    options.add_argument("--runs", type=Path, help="folder of the run folders, if it is not the study's own")
    options.add_argument("--study", type=Path, default=folder, help="folder of study.yaml and results/")
    return options


def chosen(given: argparse.Namespace) -> Options:
    """What was asked of a :func:`parser`."""
    scale = ("paper" if cuda_available() else "cpu") if given.scale == "auto" else given.scale
    return Options(scale, given.runs, given.study)


@contextmanager
def in_one_line() -> Iterator[None]:
    """Tells what the user can mend in one line, and ends the process."""
    try:
        yield
    except UserError as error:
        print(f"aestyle: {error}", file=sys.stderr)
        sys.exit(2)
