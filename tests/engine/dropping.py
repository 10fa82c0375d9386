"""A training that is dropped in the middle, with all that it had in memory."""

from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
from omegaconf import DictConfig, open_dict

from aestyle.engine.callbacks import method_of
from aestyle.engine.module import PhasedModule
from aestyle.studies.training import train

HOOKS = ("on_train_batch_start", "on_before_optimizer_step", "on_train_batch_end")
"""Before an iteration, in its middle, behind it."""


class PlantedError(Exception):
    """Nobody but the test expects it."""


class Drop(pl.Callback):
    """Ends the training without a word to anyone.

    Args:
        batches: after so many iterations.
        hook: one of ``HOOKS``, in which it happens.
    """

    def __init__(self, batches: int, hook: str) -> None:
        def drop(trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
            if method_of(pl_module).batches_seen == batches:
                raise PlantedError

        setattr(self, hook, drop)


def train_dropped(cfg: DictConfig, run_dir: Path, batches: int, hook: str) -> PhasedModule:
    """Trains until it is dropped, then calls the same configuration again, which goes on to the end."""
    dropped = cfg.copy()
    with open_dict(dropped):
        dropped.callbacks = {
            "drop": {"_target_": f"{__name__}.Drop", "batches": batches, "hook": hook},
            **dropped.callbacks,
        }
    with pytest.raises(PlantedError):
        train(dropped, run_dir)
    method = train(cfg, run_dir)
    assert method is not None
    return method
