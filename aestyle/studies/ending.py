"""How a run ended: a note in its folder, which whoever looks later can rely on."""

import json
import os
import re
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

from aestyle.processes import is_first
from aestyle.studies.planning import one_line

CONFIG = "config.yaml"
NOTE = "state.json"
"""Files in a run folder: its configuration, and what became of it."""


class Outcome(StrEnum):
    """What became of a run."""

    RUNNING = "running"
    FINISHED = "finished"
    STOPPED = "stopped"
    """By a signal: it was saved and can go on."""
    FAILED = "failed"
    KILLED = "killed"
    """Its process is gone without a word."""


@dataclass(frozen=True)
class Note:
    """What is known of a run's end.

    Args:
        outcome: what became of it.
        reason: why, in one line; empty if there is nothing to say.
        process: number of the process that trained it.
        host: where that process was.
        config: the configuration as YAML, of a run that failed before it had a folder of its own.
    """

    outcome: Outcome
    reason: str = ""
    process: int = 0
    host: str = ""
    config: str = ""


class Ending:
    """Notes how a run ends; the one process that is told to :meth:`begin` writes.

    Args:
        run_dir: the run folder.
    """

    def __init__(self, run_dir: Path) -> None:
        self.run_dir = run_dir
        self.begun = False
        self.stopped = ""
        """Why it stopped, in a line."""

    def begin(self) -> None:
        """From here on, the run folder is this run's."""
        self.begun = True
        self.write(Outcome.RUNNING)

    def write(self, outcome: Outcome, reason: str = "", config: str = "") -> None:
        """Replaces the note; a reader sees the old or the new one."""
        note = Note(outcome, reason, os.getpid(), socket.gethostname(), config)
        self.run_dir.mkdir(parents=True, exist_ok=True)
        temporary = self.run_dir / f".{NOTE}.{os.getpid()}.tmp"
        temporary.write_text(json.dumps(asdict(note)) + "\n", encoding="utf-8")
        os.replace(temporary, self.run_dir / NOTE)  # noqa: PTH105


@contextmanager
def noted(run_dir: Path, config: Callable[[], str]) -> Iterator[Ending]:
    """Notes how what happens inside ends.

    A run that is refused before it begins leaves nothing, unless it is one of many: a sweep's summary has to show it.

    Args:
        run_dir: the run folder.
        config: gives the run's configuration as YAML.
    """
    ending = Ending(run_dir)
    try:
        yield ending
    except SystemExit:
        if ending.begun:
            ending.write(Outcome.STOPPED, ending.stopped)
        raise
    except KeyboardInterrupt:
        if ending.begun:
            ending.write(Outcome.STOPPED, "by hand")
        raise
    except Exception as error:
        _note_failure(ending, error, config)
        raise
    if ending.begun:
        ending.write(Outcome.FINISHED)


def _note_failure(ending: Ending, error: Exception, config: Callable[[], str]) -> None:
    has_config = (ending.run_dir / CONFIG).exists()
    if not ending.begun and not (has_config or _is_of_many()):
        return
    if not ending.begun and (not is_first() or _has_finished(ending.run_dir)):
        return
    try:
        ending.write(Outcome.FAILED, one_line(error), "" if has_config else config())
    except Exception as unwritten:  # a full disk, an option that cannot be resolved: the run's own error is told
        print(f"no note in {ending.run_dir}: {one_line(unwritten)}", file=sys.stderr)


def _has_finished(run_dir: Path) -> bool:
    note = read_note(run_dir)
    return note is not None and note.outcome == Outcome.FINISHED


def _is_of_many() -> bool:
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    return HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN


def read_note(run_dir: Path) -> Note | None:
    """The note in a run folder; None if there is none that can be read.

    A run whose process is gone was killed; of another machine's processes nothing is known.
    """
    try:
        content = json.loads((run_dir / NOTE).read_text(encoding="utf-8"))
        note = Note(**{**content, "outcome": Outcome(content["outcome"])})
    except (OSError, ValueError, TypeError, KeyError):
        return None
    if note.outcome != Outcome.RUNNING:
        return note
    if note.host != socket.gethostname():
        return Note(Outcome.RUNNING, f"on {note.host}, or killed there")
    return note if _is_alive(note.process) else Note(Outcome.KILLED, "its process ended without a word")


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    stat = Path(f"/proc/{process}/stat")  # one that ended and was not waited for is there still
    return not (stat.exists() and re.search(r"\) Z ", stat.read_text(encoding="utf-8")))
