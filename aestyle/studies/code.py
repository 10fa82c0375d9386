"""Which state of the code a run was made with."""

import subprocess
from pathlib import Path
from typing import Any

import aestyle


def code_state() -> dict[str, Any]:
    """The version; from a checkout also the commit, and whether files of it were changed since."""
    state: dict[str, Any] = {"version": aestyle.__version__}
    commit = _git("rev-parse", "HEAD")
    if commit is None or _git("ls-files", "--error-unmatch", "aestyle/__init__.py") is None:  # in someone else's repo
        return state
    return {**state, "commit": commit, "changed": bool(_git("status", "--porcelain", "--untracked-files=no"))}


def _git(*args: str) -> str | None:
    """What git says of the checkout that this file is in; None if there is none, or no git."""
    folder = Path(aestyle.__file__).parents[1]
    try:
        done = subprocess.run(["git", "-C", str(folder), *args], capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
