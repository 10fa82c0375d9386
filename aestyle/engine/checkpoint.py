"""Crash-safe checkpoints: written beside the target, verified, synced, then renamed over it."""

import hashlib
import os
import pickle
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.plugins.io import CheckpointIO

from aestyle.engine.slim import is_slim, read_slim
from aestyle.errors import UserError

LAST = "last.ckpt"
PREVIOUS = "previous.ckpt"
BEST = "best.ckpt"


class SafeCheckpointIO(CheckpointIO):
    """Saves so that at every moment a whole checkpoint exists, and loads with ``weights_only=True``.

    Lightning's own saving stages in the system's temporary folder; where that is another file system, the final move
    is a copy, and a kill in the middle destroys the only checkpoint.

    Args:
        keep: how many of the last checkpoints stay: ``last.ckpt``, ``previous.ckpt``, ``previous-2.ckpt``, ...
    """

    def __init__(self, keep: int = 2) -> None:
        self.keep = keep

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Replaces ``path`` by ``checkpoint``; a ``last.ckpt`` that was there becomes ``previous.ckpt``, and so on.

        Raises:
            UserError: it could not be written; what was there still is.
            TypeError: it holds more than plain data, and so could not be loaded; what was there still is.
        """
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        for left in path.parent.glob(f".{path.name}.*.tmp"):  # by a save that was killed
            left.unlink(missing_ok=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        try:
            with temporary.open("wb") as file:
                torch.save(checkpoint, file)
                file.flush()
                os.fsync(file.fileno())
            torch.load(temporary, map_location="cpu", weights_only=True, mmap=True)  # refuses what could not be loaded
            if path.name == LAST:
                self._move_back(path.parent)
            os.replace(temporary, path)  # noqa: PTH105 (the atomic call, by its name)
            _sync_folder(path.parent)
        except (OSError, RuntimeError) as error:  # torch reports a full disk as RuntimeError
            reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
            raise UserError(
                f"{path}: the checkpoint could not be saved ({reason}); the one before is intact: "
                "free space and run the same command again"
            ) from error
        except (pickle.PickleError, AttributeError, TypeError) as error:
            named = re.search(r"GLOBAL (\S+)", str(error))
            raise TypeError(
                f"{path}: not saved, the checkpoint holds more than plain data ({named[1] if named else error}); "
                "keep tensors, numbers, strings, and lists and dictionaries of them in it"
            ) from error
        finally:
            temporary.unlink(missing_ok=True)

    def _move_back(self, folder: Path) -> None:
        """Gives each checkpoint the name of the one before it, the last one its second name."""
        for age, path in reversed(_kept(folder).items()):
            if age >= self.keep:
                path.unlink()
            elif age + 1 < self.keep:
                _link(path, folder / (f"previous-{age + 1}.ckpt" if age else PREVIOUS))

    def load_checkpoint(
        self, path: str | Path, map_location: Any = None, weights_only: bool | None = True
    ) -> dict[str, Any]:
        """Reads a checkpoint; never executes anything that is stored in it."""
        return read_checkpoint(Path(path), map_location or "cpu")

    def remove_checkpoint(self, path: str | Path) -> None:
        """Deletes a checkpoint if it is there."""
        Path(path).unlink(missing_ok=True)


def _kept(folder: Path) -> dict[int, Path]:
    """The last checkpoints that are there, by how many saves came behind them: the newest first."""
    numbered = ((re.fullmatch(r"previous-([2-9]|[1-9]\d+)\.ckpt", path.name), path) for path in folder.glob("*.ckpt"))
    named = {0: folder / LAST, 1: folder / PREVIOUS, **{int(match[1]): path for match, path in numbered if match}}
    return {age: named[age] for age in sorted(named) if named[age].exists()}


def _link(source: Path, target: Path) -> None:
    """Makes ``target`` a second name of ``source``, atomically; renames where links do not exist."""
    beside = target.with_name(f".{target.name}.tmp")
    beside.unlink(missing_ok=True)
    try:
        beside.hardlink_to(source)
    except OSError:
        os.replace(source, target)  # noqa: PTH105
        return
    try:
        os.replace(beside, target)  # noqa: PTH105
    finally:
        beside.unlink(missing_ok=True)  # renaming to another name of the same file does nothing


def _sync_folder(folder: Path) -> None:
    """Makes a rename survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_checkpoint(path: Path, map_location: Any = "cpu", mmap: bool = False) -> dict[str, Any]:
    """Reads a checkpoint of this suite.

    Args:
        path: the file: a whole checkpoint, or a model for use alone (``aestyle.engine.slim``).
        map_location: where its tensors go.
        mmap: leave tensors on disk until they are used.

    Raises:
        UserError: there is no such file, it is truncated, or it is not of this suite.
    """
    if is_slim(path):
        return read_slim(path, map_location)
    with _named_errors(path), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what foreign files are written in
        checkpoint = torch.load(path, map_location=map_location, weights_only=True, mmap=mmap)
    if not isinstance(checkpoint, dict) or not isinstance(checkpoint.get("aestyle"), dict):
        raise UserError(
            f"{path}: not a checkpoint of aestyle; "
            "checkpoints of the reference code are read by python -m aestyle.convert"
        )
    return checkpoint


@contextmanager
def _named_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise UserError(f"{path}: there is no such checkpoint; give a run folder or a .ckpt file") from error
    except pickle.UnpicklingError as error:
        raise UserError(
            f"{path}: not a checkpoint of aestyle (it holds more than plain data, or is damaged); "
            "give a .ckpt file that aestyle wrote"
        ) from error
    except Exception as error:  # on noise the unpickler fails with many types
        raise UserError(
            f"{path}: truncated or damaged checkpoint; take {PREVIOUS} beside it, or run the training command again"
        ) from error


def identity(path: Path) -> str:
    """What tells a checkpoint's content from every other one: the first 16 digits of its SHA-256.

    Raises:
        UserError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:16]
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; give a run folder or a checkpoint that can be read") from error


def latest_checkpoint(run_dir: Path) -> Path | None:
    """The newest checkpoint of a run folder that can be read; None if it has none.

    A broken ``last.ckpt`` (a disk gone bad: a kill does not leave one) is passed over for ``previous.ckpt``, and so on.

    Raises:
        UserError: there are checkpoints, and none can be read.
    """
    problem: UserError | None = None
    for path in _kept(run_dir / "checkpoints").values():
        try:
            read_checkpoint(path, mmap=True)
        except UserError as error:
            problem = problem or error
        else:
            return path
    if problem:
        raise problem
    return None
