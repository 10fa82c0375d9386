"""One training at a time in a run folder."""

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from aestyle.errors import UserError
from aestyle.processes import is_first

LOCK = ".lock"
"""Is in a run folder while a process trains there, with its number and host."""

_held: set[Path] = set()


@contextmanager
def alone(run_dir: Path) -> Iterator[None]:
    """Keeps other processes from training into the folder; the lock goes with its process, however that ends.

    The first process of a training holds it for all of them. It may be taken again inside. A disk that cannot be
    written to, or has no locks, leaves the folder unlocked.

    Args:
        run_dir: the run folder, made if it is not there.

    Raises:
        UserError: another process holds it; names the folder, the process and its host.
    """
    path = run_dir.resolve() / LOCK
    if path in _held or not is_first():
        yield
        return
    file = _locked(path)
    _held.add(path)
    try:
        yield
    finally:
        _held.discard(path)
        if file is not None:
            with suppress(OSError):
                path.unlink()
            file.close()


def _locked(path: Path) -> TextIO | None:
    """The lock's file with this process in it; None where there can be none."""
    while True:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = path.open("a+", encoding="utf-8")
        except OSError:
            return None
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            number, _, host = file.read().partition(" ")
            file.close()
            where = f"{path.parent} is being trained by process {number} on {host or 'this machine'}"
            raise UserError(f"{where}; wait for it, or stop it") from error
        except OSError:
            file.close()
            return None
        if _is_at(file, path):
            file.truncate(0)
            file.write(f"{os.getpid()} {socket.gethostname()}")
            file.flush()
            return file
        file.close()  # whoever held it has just removed it


def _is_at(file: TextIO, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False
