"""The iteration that ended a training, once more."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from rich.table import Table
from torch import Tensor
from torch.utils.data import DataLoader

from aestyle.engine.callbacks.crash import FILE
from aestyle.engine.checkpoint import read_checkpoint
from aestyle.engine.module import PhasedModule
from aestyle.engine.passes import Passes
from aestyle.engine.scaling import FLOAT16
from aestyle.engine.trouble import Trouble, not_finite
from aestyle.errors import UserError
from aestyle.studies.initialisation import freeze
from aestyle.studies.loading import refuse_foreign_targets
from aestyle.studies.training import quiet_lightning

ENDLESS = 10**9
"""In the place of ``max_bad_steps``: every phase of the iteration runs."""

ROWS = {"phase": "phase", "loss": "loss", "network": "network, by its gradient", "parameter": "parameter"}


@dataclass(frozen=True)
class Replay:
    """What became of an iteration when it was repeated.

    Args:
        path: the bundle.
        images_seen: when the iteration began.
        then: what was not finite in the training.
        now: what is not finite this time; None if everything is finite.
        before: names of what was not finite before it began.
    """

    path: Path
    images_seen: int
    then: Trouble
    now: Trouble | None
    before: list[str]

    @property
    def is_reproduced(self) -> bool:
        """Whether the same phase stumbled over gradients of the same network."""
        return self.now is not None and (self.now.phase, self.now.network) == (self.then.phase, self.then.network)

    def table(self) -> Table:
        """What was first not finite, in the training and now."""
        table = Table("first not finite", "in the training", "repeated", title=f"{self.images_seen / 1000:g} kimg")
        for name, shown in ROWS.items():
            table.add_row(shown, *("-" if t is None else getattr(t, name) or "finite" for t in (self.then, self.now)))
        return table


def replay(run_dir: str | Path | None = None, crash: str | Path | None = None) -> Replay:
    """Repeats the iteration that ended a training, on the CPU in one process with the batch of all.

    Networks are not compiled, and float16 becomes float32: what is finite then was lost to one of these.

    Args:
        run_dir: the run folder; or
        crash: what the training wrote when it was aborted.

    Raises:
        UserError: there is no such file, or it is none of a crash.
    """
    if (run_dir is None) == (crash is None):
        raise UserError("give one of run_dir=<run folder> and crash=<file that the training wrote when it was aborted>")
    path = Path(crash) if crash is not None else Path(str(run_dir)) / FILE
    if not path.is_file():
        raise UserError(f"{path}: there is no such file; only a training that was aborted leaves one")
    bundle = read_checkpoint(path)
    if "trouble" not in bundle or "batch" not in bundle:
        raise UserError(f"{path}: no iteration of a crash; give the run folder of an aborted training")
    state = {name: value for name, value in bundle["state_dict"].items() if isinstance(value, Tensor)}
    now = _repeat(bundle, path)
    then = Trouble(**bundle["trouble"])
    return Replay(path, bundle["aestyle"]["images_seen"], then, now, not_finite({**state, **bundle["batch"]}))


def _repeat(bundle: dict[str, Any], path: Path) -> Trouble | None:
    cfg = OmegaConf.create(bundle["aestyle"]["config"])
    assert isinstance(cfg, DictConfig)
    refuse_foreign_targets(cfg, path)
    quiet_lightning()
    method: PhasedModule = instantiate(cfg.method, _convert_="all")
    method.passes = Passes(recompute=cfg.compute.recompute)
    freeze(method, cfg.freeze)
    precision = str(cfg.trainer.precision)
    trainer = pl.Trainer(
        accelerator="cpu",
        devices=1,
        precision="32-true" if precision in FLOAT16 else precision,  # type: ignore[arg-type]
        max_epochs=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[_Restored(bundle)],
    )
    trainer.fit(method, DataLoader([bundle["batch"]], batch_size=None))  # type: ignore[arg-type]
    return method.trouble


class _Restored(pl.Callback):
    """Sets everything to what it was, once the model has its precision."""

    def __init__(self, bundle: dict[str, Any]) -> None:
        self.bundle = bundle

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        pl_module.load_state_dict(self.bundle["state_dict"])
        pl_module.on_load_checkpoint(self.bundle)
        for optimizer, state in zip(trainer.optimizers, self.bundle["optimizer_states"], strict=True):
            optimizer.load_state_dict(state)
        pl_module.max_bad_steps = ENDLESS  # type: ignore[assignment]
        torch.set_rng_state(self.bundle["generator"])
