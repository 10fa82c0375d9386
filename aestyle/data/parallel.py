"""Work on many pictures at once, in order and with a bar that says how long it will take."""

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

T = TypeVar("T")

PROGRESS_FROM = 2000
"""From this many pictures on, work shows a progress bar."""

AHEAD = 16
"""Results a thread may be ahead of the one that is taken: bounds the memory."""


def in_order(function: Callable[[int], T], numbers: Sequence[int], workers: int | None = None) -> Iterator[T]:
    """``function`` of each number, in order, computed by threads (Pillow decodes and resizes without the GIL).

    Args:
        function: What to compute.
        numbers: Its arguments.
        workers: Threads; one a core, but at most 8, if None.
    """
    workers = workers or min(8, os.cpu_count() or 1)
    pending: deque[Future[T]] = deque()
    with ThreadPoolExecutor(workers) as threads:
        try:
            for number in numbers:
                pending.append(threads.submit(function, number))
                if len(pending) > AHEAD * workers:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()


def with_bar(results: Iterator[T], text: str, total: int, done: int = 0, shown: bool = True) -> Iterator[T]:
    """Passes results on, under a bar with the time that is left; short work shows none.

    Args:
        results: What is passed on.
        text: What is going on.
        total: Number of results with those of an earlier start.
        done: Number of these earlier ones.
        shown: Whether there may be a bar at all.
    """
    columns = (TextColumn(text), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, disable=not shown or total - done <= PROGRESS_FROM) as progress:
        task = progress.add_task(text, total=total, completed=done)
        for result in results:
            progress.advance(task)
            yield result
