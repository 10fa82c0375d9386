"""What is needed to repeat the iteration that ended a training, for ``python -m aestyle.replay``."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
import torch.distributed as dist
from lightning_utilities.core.apply_func import apply_to_collection
from torch import Tensor

from aestyle.engine.callbacks import method_of
from aestyle.engine.checkpoint import SafeCheckpointIO
from aestyle.engine.distributed import gather_over_ranks, world_size
from aestyle.engine.module import PhasedModule
from aestyle.errors import TrainingAborted, UserError

FILE = Path("crash") / "iteration.ckpt"
"""In the run folder."""


class CrashBundle(pl.Callback):
    """Keeps what the failing iteration started from, once a training is aborted: ``crash/iteration.ckpt``.

    It is a checkpoint (networks, averages, buffers, optimizers, counters, configuration) from before that iteration,
    with the batch of all processes, the state of PyTorch's generator and what was found not to be finite. Draws of the
    methods are keyed by the counters.

    A copy of everything before each iteration would cost memory and time in runs that are well, and going back to the
    last checkpoint may mean days of batches, which another machine would not repeat to the bit. So a copy is taken only
    where the next bad step would be the last: ``method.max_bad_steps`` in a row end a training, and the copy is taken
    when there is one less. Weights are finite there, since bad steps are not taken. With ``max_bad_steps=1`` that is
    before each iteration.
    """

    def __init__(self) -> None:
        self.before: dict[str, Any] | None = None

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Takes the copy if the iteration may be the last one; all processes decide alike."""
        method = method_of(pl_module)
        self.before = _copy(method, trainer.optimizers, batch) if method.may_abort() else None

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Writes the copy; where it cannot be written, a line says so, and the training's own error is told."""
        if not isinstance(exception, TrainingAborted) or self.before is None:
            return
        if trainer.is_global_zero:
            print(_write(self.before, method_of(pl_module), Path(trainer.default_root_dir)), flush=True)
        if world_size() > 1:
            dist.barrier()  # Lightning kills the writing process when another one has ended


def _copy(method: PhasedModule, optimizers: list[torch.optim.Optimizer], batch: dict[str, Tensor]) -> dict[str, Any]:
    parts = batch["image"].chunk(method.batches_per_iteration)
    bundle: dict[str, Any] = {
        "state_dict": method.state_dict(),
        "optimizer_states": [optimizer.state_dict() for optimizer in optimizers],
        "batch": {"image": torch.cat([gather_over_ranks(part) for part in parts])},
        "generator": torch.get_rng_state(),
    }
    bundle = apply_to_collection(bundle, Tensor, lambda tensor: tensor.detach().to("cpu", copy=True))
    method.on_save_checkpoint(bundle)
    return bundle


def _write(bundle: dict[str, Any], method: PhasedModule, run_dir: Path) -> str:
    """Writes the bundle; gives back what to say of it."""
    path = run_dir / FILE
    bundle["trouble"] = asdict(method.trouble) if method.trouble else {}
    try:
        SafeCheckpointIO().save_checkpoint(bundle, path)
    except UserError as error:
        return f"what the failing iteration started from is lost: {error}"
    except OSError as error:
        return f"what the failing iteration started from is lost: {path}: {error.strerror}"
    return f"python -m aestyle.replay run_dir={run_dir} repeats the failing iteration, which is in {path}"
