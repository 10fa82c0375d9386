"""Evaluation along the training: metrics of the averaged networks, the best checkpoint, and when to stop for it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytorch_lightning as pl
from pytorch_lightning.loggers import WandbLogger

from aestyle.engine.callbacks import Cadence, method_of
from aestyle.engine.callbacks.checkpointing import save_checkpoint
from aestyle.engine.callbacks.stats import keep_until
from aestyle.engine.checkpoint import BEST, latest_checkpoint, read_checkpoint
from aestyle.engine.distributed import rank, world_size
from aestyle.metrics.shares import Share
from aestyle.studies.evaluation import RESULTS, append_records, evaluate
from aestyle.studies.moving import MovingFakes

if TYPE_CHECKING:
    from aestyle.metrics.recipe import Recipe
    from aestyle.studies.evaluation import Record


@dataclass(frozen=True)
class Standing:
    """How the metric stands that a run is judged by.

    Args:
        metric: its name.
        value: its best value so far; None while it was never a number.
        best_at: images seen when it was reached (while there is none: at the first evaluation).
        now: images seen at the newest evaluation.
    """

    metric: str
    value: float | None
    best_at: int
    now: int

    def after(self, value: float, images_seen: int, higher_is_better: bool) -> Standing:
        """The standing after one more evaluation."""
        better = self.value is None or (value > self.value if higher_is_better else value < self.value)
        if better and not math.isnan(value):
            return replace(self, value=value, best_at=images_seen, now=images_seen)
        return replace(self, now=images_seen)

    def is_stale(self, patience_kimg: float | None) -> bool:
        """Whether the best value is that old; never without a patience."""
        return patience_kimg is not None and self.now - self.best_at >= round(patience_kimg * 1000, 6)

    def __str__(self) -> str:
        value = "a number that it never was" if self.value is None else f"{self.value:.6g}"
        return f"{self.metric} has not improved on {value} since {self.best_at / 1000:g} kimg"


class Evaluation(pl.Callback):
    """Measures the averaged networks at the start of a run and regularly, on all processes together.

    Each value is a line of ``metrics.jsonl``, which names no checkpoint, and ``metric/<name>`` in the loggers. On
    resuming, such lines are cut back to the checkpoint; those of ``aestyle.evaluate`` stay.

    Args:
        metrics: recipes by name.
        every_kimg: interval between evaluations; None never measures.
        split: the pictures to measure; None leaves it to each metric.
        best: name of the metric whose best checkpoint is kept as ``checkpoints/best.ckpt``.
        patience_kimg: the training stops when that metric has not improved for so many thousand images.
        moving_fakes: in the place of samples of the model as it is, so many that were drawn along the way, as IAAE's
            authors do; see :class:`~aestyle.studies.moving.MovingFakes`. None: of the model as it is, which is also
            what is measured before the first iteration.
    """

    def __init__(
        self,
        metrics: Mapping[str, Recipe] | None = None,
        every_kimg: float | None = None,
        split: str | None = None,
        best: str | None = None,
        patience_kimg: float | None = None,
        moving_fakes: int | None = None,
    ) -> None:
        recipes = (metrics or {}).values()
        self.recipes = [recipe if split is None else recipe.on(split) for recipe in recipes]
        self.cadence = None if every_kimg is None else Cadence(every_kimg)
        self.best = best
        self.patience_kimg = patience_kimg
        self.standing: Standing | None = None
        """Of the metric ``best``; part of the checkpoint."""
        self.fakes = MovingFakes(moving_fakes) if moving_fakes else None
        """Also part of the checkpoint."""

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Refuses metrics that have no meaning for the data (UserError), before any training."""
        for recipe in self.recipes if self.cadence else []:
            recipe.check(trainer.datamodule)  # type: ignore[attr-defined]

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Cuts lines that are newer than the checkpoint."""
        images_seen = method_of(pl_module).images_seen
        if trainer.is_global_zero:
            path = Path(trainer.default_root_dir) / RESULTS
            keep_until(path, images_seen / 1000, inclusive=images_seen > 0, concerns=_is_of_the_training)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Measures what a new run starts with: a metric that has no meaning for the method is refused at once.

        The one epoch of a run starts after every ``on_train_start``: signals are ours already.
        """
        if self.cadence and method_of(pl_module).images_seen == 0:
            self._measure(trainer, pl_module)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Measures when due."""
        method = method_of(pl_module)
        if self.cadence and self.fakes is not None:
            self.fakes.draw(method, method.images_seen - method.images_before)
        if self.cadence and self.cadence.due(method.images_before, method.images_seen):
            self._measure(trainer, pl_module)
            trainer.should_stop = trainer.should_stop or self.is_stale

    @property
    def is_stale(self) -> bool:
        """Whether the metric ``best`` has not improved for ``patience_kimg``."""
        return self.standing is not None and self.standing.is_stale(self.patience_kimg)

    def _measure(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        method, share = method_of(pl_module), Share(rank(), world_size())
        run_dir = Path(trainer.default_root_dir)
        records = evaluate(
            method,
            trainer.datamodule,  # type: ignore[attr-defined]
            self.recipes,
            kimg=method.images_seen / 1000,
            device=method.device,
            cache=run_dir.parent / ".features",
            share=share,
            fakes=self.fakes if self.fakes and len(self.fakes) else None,
        )
        records = share.exchange(records)[0]  # every process decides by the very same values
        if trainer.is_global_zero:
            append_records(records, run_dir)
            shown = "  ".join(f"{record['metric']} {record['value']:.4g}" for record in records)
            print(f"{method.images_seen / 1000:g} kimg: {shown}", flush=True)
        self._log(trainer, records, method.images_seen)
        if self._judge(records, method.images_seen):
            save_checkpoint(trainer, pl_module, BEST)

    def _log(self, trainer: pl.Trainer, records: list[Record], images_seen: int) -> None:
        values = {f"metric/{record['metric']}": record["value"] for record in records}
        for logger in trainer.loggers:
            step = None if isinstance(logger, WandbLogger) else images_seen  # as in the training statistics
            logger.log_metrics({"progress/kimg": images_seen / 1000, **values}, step)

    def _judge(self, records: list[Record], images_seen: int) -> bool:
        """Takes note of the metric ``best``; whether it is the best so far."""
        if self.best is None:
            return False
        value = next(record["value"] for record in records if record["metric"] == self.best)
        higher_is_better = next(recipe.higher_is_better for recipe in self.recipes if recipe.name == self.best)
        before = self.standing or Standing(self.best, None, best_at=images_seen, now=images_seen)
        self.standing = before.after(value, images_seen, higher_is_better)
        return self.standing.value is not None and self.standing.best_at == images_seen

    def state_dict(self) -> dict[str, Any]:
        """The standing, and the moving fakes if there are any."""
        standing = {"standing": self.standing and asdict(self.standing)}
        return standing if self.fakes is None else {**standing, "moving_fakes": self.fakes.pictures}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores the standing, if it is that of the same metric, and the moving fakes."""
        standing = _standing(state_dict)
        self.standing = standing if standing and standing.metric == self.best else None
        if self.fakes is not None:
            self.fakes.pictures = state_dict.get("moving_fakes")


def stale_standing(checkpoint: Mapping[str, Any], best: str | None, patience_kimg: float | None) -> Standing | None:
    """Why a run that was saved here goes no further, if it does not.

    Args:
        checkpoint: what was saved.
        best: name of the metric that the run is judged by.
        patience_kimg: how long it may go without improving.
    """
    standing = _standing(checkpoint.get("callbacks", {}).get(Evaluation.__qualname__, {}))
    return standing if standing and standing.metric == best and standing.is_stale(patience_kimg) else None


def best_value(run_dir: Path, best: str | None) -> float | None:
    """The best value so far of the metric that a run is judged by; None if there is none.

    Args:
        run_dir: the run folder.
        best: name of the metric.
    """
    checkpoint = latest_checkpoint(run_dir) if best else None
    saved = read_checkpoint(checkpoint, mmap=True) if checkpoint else {}
    standing = _standing(saved.get("callbacks", {}).get(Evaluation.__qualname__, {}))
    return standing.value if standing and standing.metric == best else None


def _standing(state_dict: Mapping[str, Any]) -> Standing | None:
    state = state_dict.get("standing")
    return Standing(**state) if state else None


def _is_of_the_training(line: Mapping[str, Any]) -> bool:
    return line.get("checkpoint") is None
