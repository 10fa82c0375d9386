"""When checkpoints are written, when training ends, and what a signal does."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import pytorch_lightning as pl

from aestyle.engine.callbacks import Cadence, method_of
from aestyle.engine.checkpoint import LAST, SafeCheckpointIO
from aestyle.engine.distributed import agree_on_highest, check_replicas
from aestyle.errors import UserError

SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGINT)


class Checkpoints(pl.Callback):
    """Ends the training at its budget; saves ``checkpoints/last.ckpt`` regularly, at the end, and on a signal.

    SIGTERM, SIGUSR1, SIGUSR2 and Ctrl-C, sent to any rank, let the running iteration end, then save and stop. A second
    Ctrl-C stops at once. It must be the last of the callbacks, so that what the others keep of this iteration is saved
    with it.

    Args:
        kimg: the budget: thousand images to train on in all.
        every_kimg: interval between checkpoints.
        keep: how many of the last checkpoints stay, ``last.ckpt`` counted.
    """

    def __init__(self, kimg: float, every_kimg: float, keep: int = 2) -> None:
        self.budget = round(kimg * 1000)
        self.cadence = Cadence(every_kimg)
        self.keep = keep
        self.signal = 0
        """The signal that all ranks agreed to stop for; 0 if none."""
        self._received = 0

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Takes over the signals before Lightning, which under SLURM would else answer SIGUSR1 in its own way."""
        self._take_over()
        assert isinstance(trainer.strategy.checkpoint_io, SafeCheckpointIO)
        trainer.strategy.checkpoint_io.keep = self.keep

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Takes over SIGTERM again: Lightning's own handler hangs or saves nothing with several processes."""
        self._take_over()

    def _take_over(self) -> None:
        for number in SIGNALS:
            signal.signal(number, self._remember)

    def _remember(self, number: int, frame: FrameType | None) -> None:
        if self._received == number == signal.SIGINT:
            raise KeyboardInterrupt
        self._received = number

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Saves and stops as due."""
        method = method_of(pl_module)
        self.signal = agree_on_highest(self._received, method.device)
        # Another callback may have stopped the training in this iteration: that end is kept too.
        stop = trainer.should_stop or method.images_seen >= self.budget or bool(self.signal)
        if stop or self.cadence.due(method.images_before, method.images_seen):
            save_checkpoint(trainer, pl_module)
        trainer.should_stop = stop


def save_checkpoint(trainer: pl.Trainer, pl_module: pl.LightningModule, name: str = LAST) -> None:
    """Writes ``checkpoints/<name>`` in the run folder, after making sure that all processes hold the same weights.

    Raises:
        UserError: it could not be written; on every process, for none may wait for one that has given up.
    """
    check_replicas(pl_module)
    problem = None
    try:
        trainer.save_checkpoint(f"{trainer.default_root_dir}/checkpoints/{name}")
    except Exception as error:
        problem = error
        trainer.strategy.barrier()  # where the others are already
    if agree_on_highest(int(problem is not None), pl_module.device):
        raise problem or UserError(f"{name} could not be saved by the first process")


@contextmanager
def signals_restored() -> Iterator[dict[int, Any]]:
    """The training's handlers of signals end with it: a command that measures next is stopped by Ctrl-C as ever.

    Yields:
        The handlers that were there before, by signal: those of whoever started this process.
    """
    handlers: dict[int, Any] = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        yield handlers
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
