"""Open files that survive worker processes."""

import os
import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class PerProcess(Generic[T]):
    """A handle that every process opens for itself, when it first needs it.

    A file position, a database's read slots and a memory map do not survive a fork or a pickle: neither carries the
    handle over.

    Args:
        open: Opens the handle.
    """

    def __init__(self, open: Callable[[], T]) -> None:
        self._open = open
        self._handle: T | None = None
        self._process = 0
        self._lock = threading.Lock()

    def __call__(self) -> T:
        """The handle of this process."""
        if self._process != os.getpid():
            with self._lock:
                if self._process != os.getpid():
                    self._handle = None  # the parent's; lets go of it before a second one is opened
                    self._handle = self._open()
                    self._process = os.getpid()
        return self._handle  # type: ignore[return-value]

    def __getstate__(self) -> dict[str, Any]:
        return {"_open": self._open}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["_open"])  # type: ignore[misc]
