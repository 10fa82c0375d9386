"""Published weights: where they are looked for, how they are read, and what to do when they are missing."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from aestyle.errors import UserError

FOLDER_VARIABLE = "AESTYLE_WEIGHTS"
"""Environment variable that names a folder of weight files."""


@dataclass(frozen=True)
class Published:
    """One published file of weights.

    Args:
        network: What it holds, for messages.
        project: Who publishes it.
        files: Names that the same file goes by; eight hex digits before the ending are the start of its SHA-256.
        twin: What can be used in its place without any download.
        url: Where to fetch it; None if its publisher names no lasting address.
    """

    network: str
    project: str
    files: tuple[str, ...]
    twin: str
    url: str | None = None

    @property
    def sha256_prefix(self) -> str:
        """Start of the file's SHA-256; empty if its name does not tell."""
        found = re.search(r"-([0-9a-f]{8,})\.\w+$", self.files[0])
        return found[1] if found else ""


@dataclass(frozen=True)
class Weights:
    """Weights as they were found.

    Args:
        tensors: By name, in the layout of the file.
        path: The file.
        sha256: Of the file.
        published: Which file it should be.
    """

    tensors: Mapping[str, Tensor]
    path: Path
    sha256: str
    published: Published

    @property
    def label(self) -> str:
        """How result files call them: empty for the published ones, else the start of their SHA-256."""
        prefix = self.published.sha256_prefix
        return "" if prefix and self.sha256.startswith(prefix) else f", weights {self.sha256[:8]}"

    def fill(self, network: nn.Module, tensors: Mapping[str, Tensor]) -> None:
        """Gives ``network``, which may lie on the ``meta`` device, these tensors, and freezes it in eval mode.

        Raises:
            UserError: They are not those of such a network.
        """
        try:
            network.load_state_dict(dict(tensors), assign=True)
        except RuntimeError as error:
            reason = str(error).splitlines()[1].strip()[:120] if "\n" in str(error) else str(error)
            raise UserError(
                f"{self.path}: these are not the weights of {self.published.network} ({reason}); "
                f"give the file {self.published.files[0]} of {self.published.project}"
            ) from error
        network.requires_grad_(False).eval()


def load_weights(published: Published, path: str | None = None, download: bool = False) -> Weights:
    """Finds and reads published weights; nothing is downloaded unless ``download`` says so.

    Args:
        published: Which file.
        path: The file itself, of any name and hash; None looks for the published names in the folder that
            ``$AESTYLE_WEIGHTS`` names and in torch hub's folder of checkpoints.
        download: Whether a file that is not there may be fetched into torch hub's folder.

    Raises:
        UserError: It is not there, or is damaged, or is no file of weights.
    """
    found = Path(path).expanduser() if path else _find(published) or _fetch(published, download)
    sha256 = _sha256(found)
    if not path and not sha256.startswith(published.sha256_prefix):
        raise UserError(
            f"{found}: damaged, its sha256 does not start with {published.sha256_prefix}; delete it and fetch it again"
        )
    return Weights(_read(found), found, sha256, published)


def _find(published: Published) -> Path | None:
    candidates = [folder / file for folder in _folders() for file in published.files]
    return next((candidate for candidate in candidates if candidate.is_file()), None)


def _folders() -> list[Path]:
    given = os.environ.get(FOLDER_VARIABLE)
    return [*([Path(given).expanduser()] if given else []), Path(torch.hub.get_dir()) / "checkpoints"]


def _fetch(published: Published, download: bool) -> Path:
    file, folder = published.files[0], _folders()[0]
    fetch = "set its option download=true to fetch it, " if published.url else ""
    missing = (
        f"{file} ({published.network}, published by {published.project}) is not here: put it into {folder}, "
        f"name it with the option weights=<file>, {fetch}or use {published.twin}, which needs no download"
    )
    if not (download and published.url):
        raise UserError(missing)
    checkpoints = Path(torch.hub.get_dir()) / "checkpoints"
    try:
        checkpoints.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(published.url, str(checkpoints / file), published.sha256_prefix or None)
    except (OSError, RuntimeError) as error:  # no connection, no space, another hash
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"the download failed ({reason}); {missing}") from error
    return checkpoints / file


def _sha256(path: Path) -> str:
    try:
        return _sha256_of(path, path.stat().st_mtime_ns)
    except OSError as error:
        raise UserError(f"weights={path}: cannot be read ({error.strerror}); give a file of weights") from error


@cache
def _sha256_of(path: Path, mtime_ns: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read(path: Path) -> dict[str, Tensor]:
    """Only tensors are unpickled: a file of weights must not be able to run anything."""
    try:
        content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise UserError(f"{path}: truncated, or not a plain file of weights; fetch it again") from error
    if not isinstance(content, dict) or not all(isinstance(value, Tensor) for value in content.values()):
        raise UserError(f"{path}: holds no plain table of tensors; give the published file")
    return content
