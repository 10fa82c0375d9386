"""Training statistics: a JSON line at regular intervals, and the same numbers to Lightning's loggers."""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.loggers import WandbLogger

from aestyle.engine.callbacks import Cadence, method_of

FILE = "stats.jsonl"


class Stats(pl.Callback):
    """Averages what the method records and writes it to ``stats.jsonl`` on the kimg axis.

    The running sums are part of the checkpoint, and on resuming the file is cut back to it: a run that was killed and
    started again writes the same lines as one that was not, except for ``seconds`` and ``images_per_second``.

    Args:
        every_kimg: interval between lines.
    """

    def __init__(self, every_kimg: float) -> None:
        self.cadence = Cadence(every_kimg)
        self.sums: dict[str, list[float]] = {}
        """For each name the sum and the number of its values since the last line."""
        self._clock = (0.0, 0)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Cuts lines that are newer than the checkpoint, and the last one of a run that now goes on."""
        images_seen = method_of(pl_module).images_seen
        self._clock = (time.perf_counter(), images_seen)
        if trainer.is_global_zero:
            keep_until(Path(trainer.default_root_dir) / FILE, images_seen / 1000, inclusive=not self.sums)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Adds the iteration's values, and writes a line when due."""
        method = method_of(pl_module)
        for name, value in method.batch_stats.items():
            entry = self.sums.setdefault(name, [0.0, 0.0])
            entry[0] += value
            entry[1] += 1
        if self.cadence.due(method.images_before, method.images_seen):
            self._write(trainer, method.images_seen)
            self.sums = {}

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Writes what is left; the sums stay, for the run may go on."""
        if self.sums:
            self._write(trainer, method_of(pl_module).images_seen)

    def _write(self, trainer: pl.Trainer, images_seen: int) -> None:
        now = time.perf_counter()
        speed = (images_seen - self._clock[1]) / (now - self._clock[0])
        values: dict[str, float] = {name: total / count for name, (total, count) in sorted(self.sums.items())}
        line = {"kimg": images_seen / 1000, **values, "seconds": round(now - self._clock[0], 3)}
        line["images_per_second"] = round(speed, 2)
        self._clock = (now, images_seen)
        if trainer.is_global_zero:
            with (Path(trainer.default_root_dir) / FILE).open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
        for logger in trainer.loggers:
            # W&B drops what comes with a step smaller than its own: there the axis is a metric like the others.
            step = None if isinstance(logger, WandbLogger) else images_seen
            logger.log_metrics({"progress/kimg": images_seen / 1000, **values, "time/images_per_second": speed}, step)

    def state_dict(self) -> dict[str, Any]:
        """The running sums."""
        return {"sums": {name: list(entry) for name, entry in self.sums.items()}}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores the running sums."""
        self.sums = {name: list(entry) for name, entry in state_dict["sums"].items()}


def keep_until(
    path: Path, kimg: float, inclusive: bool = True, concerns: Callable[[dict[str, Any]], bool] = lambda line: True
) -> None:
    """Drops the lines of a JSONL file that are newer than ``kimg``, and a last line that was cut short.

    Args:
        path: the file; nothing happens if there is none.
        kimg: where the run goes on.
        inclusive: whether a line at exactly ``kimg`` stays.
        concerns: tells which lines are meant; the others stay.
    """
    if not path.exists():
        return
    kept = []
    for text in path.read_text(encoding="utf-8").splitlines():
        try:
            line = json.loads(text)
            at = line["kimg"]
        except (json.JSONDecodeError, TypeError, KeyError):
            continue
        if not concerns(line) or at < kimg or (inclusive and at == kimg):
            kept.append(text + "\n")
    temporary = path.with_suffix(".tmp")
    temporary.write_text("".join(kept), encoding="utf-8")
    os.replace(temporary, path)  # noqa: PTH105
