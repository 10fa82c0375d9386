"""The progress bar in thousand images, with a health panel below it; plain lines where there is no terminal."""

import time
from typing import Any

import pytorch_lightning as pl
from rich.columns import Columns
from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from aestyle.engine.callbacks import method_of

SHOWN = ("score/", "health/", "latent/", "grad_norm/", "loss/")


class KimgProgress(pl.Callback):
    """Shows how far training is, how fast, how long it will take, and how it does.

    Args:
        kimg: the budget, in thousand images.
        every_seconds: interval between lines where the output is no terminal.
    """

    def __init__(self, kimg: float, every_seconds: float = 30.0) -> None:
        self.kimg = kimg
        self.every_seconds = every_seconds
        self.console = Console(stderr=False)
        self._live: Live | None = None
        self._start = (0.0, 0)
        self._last_line = 0.0
        self._progress = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(),
            TextColumn("{task.completed:.2f}/{task.total:g} kimg  {task.fields[speed]:.1f} images/s"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=self.console,
        )

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Starts the display on rank 0."""
        method = method_of(pl_module)
        self._start = (time.perf_counter(), method.images_seen)
        self._last_line = self._start[0]
        if not trainer.is_global_zero:
            return
        kimg = method.images_seen / 1000
        self._task = self._progress.add_task(method.name, total=self.kimg, speed=0.0)
        self._progress.update(self._task, completed=kimg)
        if self.console.is_terminal:
            self._live = Live(self._progress, console=self.console, refresh_per_second=4)
            self._live.start()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Moves the bar, or prints a line now and then."""
        if not trainer.is_global_zero:
            return
        method, now = method_of(pl_module), time.perf_counter()
        speed = (method.images_seen - self._start[1]) / (now - self._start[0])
        kimg = method.images_seen / 1000
        self._progress.update(self._task, completed=kimg, speed=speed)
        if self._live:
            self._live.update(Group(self._progress, Columns(_health(method.batch_stats), padding=(0, 3))))
        elif now - self._last_line > self.every_seconds:
            self._last_line = now
            left = max(0.0, self.kimg - kimg) * 1000 / speed
            loss = "  ".join(f"{k} {v:.3g}" for k, v in method.batch_stats.items() if k.startswith(("loss/", "score/")))
            self.console.print(f"{kimg:.2f}/{self.kimg:g} kimg  {speed:.1f} images/s  {left:.0f} s left  {loss}")

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Leaves the terminal as it was, also after an error."""
        if self._live:
            self._live.stop()
            self._live = None


def _health(stats: dict[str, float]) -> list[str]:
    return [f"{name} [bold]{value:.3g}[/]" for name, value in stats.items() if name.startswith(SHOWN)]
