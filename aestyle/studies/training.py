"""One training run: from a configuration to a finished run folder, or on from where it stopped."""

import json
import logging
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.loggers import WandbLogger

from aestyle.engine.callbacks.checkpointing import Checkpoints, signals_restored
from aestyle.engine.checkpoint import SafeCheckpointIO, latest_checkpoint, read_checkpoint
from aestyle.engine.module import PhasedModule
from aestyle.engine.passes import Passes, set_tf32
from aestyle.engine.scaling import FLOAT16, PhaseScaling
from aestyle.errors import UserError
from aestyle.processes import is_first
from aestyle.resolvers import identity
from aestyle.studies.code import code_state
from aestyle.studies.ending import CONFIG, Ending, noted
from aestyle.studies.initialisation import freeze, initialise
from aestyle.studies.locking import alone
from aestyle.studies.monitoring import Evaluation, stale_standing
from aestyle.studies.options import refuse_bad_values
from aestyle.studies.queueing import hand_over


def train(cfg: DictConfig, run_dir: Path) -> PhasedModule | None:
    """Trains until the budget ``cfg.kimg`` is reached.

    Args:
        cfg: composed from ``conf/train.yaml``.
        run_dir: the run folder; a run that it holds already is continued.

    Returns:
        The trained method; None if the run was finished before.

    Raises:
        UserError: an option has a value that it cannot have, the folder holds a run with other options, or another
            process trains in it.
        SystemExit: a signal stopped the training; the code is 128 + its number, or 0 if SLURM will start it again.
    """
    with alone(run_dir):
        refuse_other_run(cfg, run_dir)
        with noted(run_dir, lambda: run_config(cfg)) as ending:
            return _train(cfg, run_dir, ending)


def _train(cfg: DictConfig, run_dir: Path, ending: Ending) -> PhasedModule | None:
    refuse_bad_values(cfg)
    checkpoint = latest_checkpoint(run_dir)
    saved = read_checkpoint(checkpoint, mmap=True) if checkpoint else {"aestyle": {"images_seen": 0}}
    done = saved["aestyle"]["images_seen"] / 1000
    if end := _end(cfg, saved, done):
        say(f"{run_dir} {end}, another run_dir starts anew")
        return None
    say(f"{cfg.method.name} on {cfg.dataset.name} at scale={cfg.scale.name}, {cfg.resolution} px, in {run_dir}")
    if checkpoint:
        say(f"going on from {checkpoint} at {done:g} kimg")
    method, data, trainer = build(cfg, run_dir)
    if (devices := trainer.world_size) > 1:
        say("; ".join(f"{n} images a batch: {n // devices} on each of {devices} devices" for n in _sizes(method, cfg)))
    if not checkpoint:
        initialise(method, cfg)
    if trainer.is_global_zero:
        run_dir.mkdir(parents=True, exist_ok=True)
        (run_dir / CONFIG).write_text(method.config_yaml, encoding="utf-8")
        ending.begin()
    with signals_restored() as before:
        trainer.fit(method, datamodule=data, ckpt_path=checkpoint, weights_only=True)
    number = next(c.signal for c in trainer.callbacks if isinstance(c, Checkpoints))  # type: ignore[attr-defined]
    if number:
        ending.stopped = f"by signal {number}"
        say(f"stopped by signal {number} at {method.images_seen / 1000:g} kimg; the same command goes on from there")
        hand_over(number, before[number], trainer.is_global_zero)
    evaluation = next((c for c in trainer.callbacks if isinstance(c, Evaluation)), None)  # type: ignore[attr-defined]
    if evaluation and evaluation.is_stale:
        say(f"stopped early: {evaluation.standing}")
    say(f"finished {method.images_seen / 1000:g} kimg; checkpoints, samples and statistics are in {run_dir}")
    return method


def _end(cfg: DictConfig, saved: Mapping[str, Any], done: float) -> str | None:
    """Why there is nothing left to do for the run that was saved last; None if there is."""
    if done >= cfg.kimg:
        return f"is finished ({done:g} of {cfg.kimg:g} kimg): a larger kimg goes on"
    if standing := stale_standing(saved, cfg.evaluate.best, cfg.evaluate.patience_kimg):
        return f"was stopped at {done:g} kimg, as {standing}: a larger evaluate.patience_kimg goes on"
    return None


def build(cfg: DictConfig, run_dir: Path) -> tuple[PhasedModule, pl.LightningDataModule, pl.Trainer]:
    """Instantiates method, data module and trainer of a run.

    Args:
        cfg: composed from ``conf/train.yaml``.
        run_dir: the run folder.

    Raises:
        UserError: a picture cannot be read, nothing is called as in ``freeze``, or the batch cannot be shared by the
            processes.
    """
    quiet_lightning()
    pl.seed_everything(cfg.seed, workers=True, verbose=False)
    method: PhasedModule = instantiate(cfg.method, _convert_="all")
    method.config_yaml = run_config(cfg)
    method.passes = Passes(cfg.compute.compile, cfg.compute.recompute)
    set_tf32(cfg.compute.tf32)
    freeze(method, cfg.freeze)
    data: pl.LightningDataModule = instantiate(cfg.data, _convert_="all")
    data.setup("fit")  # broken pictures are reported before any process is started
    scaled = str(cfg.trainer.precision) in FLOAT16
    trainer: pl.Trainer = instantiate(
        cfg.trainer,
        default_root_dir=str(run_dir),
        logger=[instantiate(logger, _convert_="all") for logger in (cfg.logger or {}).values()],
        callbacks=[instantiate(callback, _convert_="all") for callback in cfg.callbacks.values()],
        plugins=[SafeCheckpointIO(), *([PhaseScaling()] if scaled else [])],
        precision=None if scaled else cfg.trainer.precision,
        _convert_="all",
    )
    trainer.precision_plugin.convert_module(method)  # Lightning does so behind loading, when digits are lost already
    for size in _sizes(method, cfg):
        if size % trainer.world_size:
            above = -(-size // trainer.world_size) * trainer.world_size
            raise UserError(
                f"batch_size={size} cannot be shared by {trainer.world_size} processes; use batch_size={above}"
            )
    for logger in trainer.loggers:
        if isinstance(logger, WandbLogger):
            logger.log_hyperparams(known_to_wandb(method.config_yaml))
    return method, data, trainer


def _sizes(method: PhasedModule, cfg: DictConfig) -> list[int]:
    """Images an iteration over all devices, as they follow each other in a training."""
    return list(dict.fromkeys(method.batch_sizes(cfg.batch_size).values()))


def known_to_wandb(config_yaml: str) -> dict[str, Any]:
    """The configuration for W&B's page of a run, and under ``code`` the state of the code."""
    config: dict[str, Any] = json.loads(json.dumps(OmegaConf.to_container(OmegaConf.create(config_yaml)), default=str))
    return {**config, "code": code_state()}


def run_config(cfg: DictConfig) -> str:
    """The configuration as YAML without interpolations, so that it stands for itself in any folder."""
    plain = OmegaConf.to_container(cfg, resolve=True, throw_on_missing=False)
    return OmegaConf.to_yaml(OmegaConf.create(plain))


def refuse_other_run(cfg: DictConfig, run_dir: Path) -> None:
    """Makes sure that an existing run folder holds this very run.

    Raises:
        UserError: it holds a run with other options; the message shows the difference.
    """
    path = run_dir / CONFIG
    if not path.exists():
        return
    old, new = _flat(identity(OmegaConf.load(path))), _flat(identity(cfg))  # type: ignore[arg-type]
    differences = [
        f"{key}={old.get(key, '(none)')} there, {new.get(key, '(none)')} here"
        for key in sorted({*old, *new})
        if old.get(key, "(none)") != new.get(key, "(none)")
    ]
    if differences:
        more = f" and {len(differences) - 5} more" if len(differences) > 5 else ""
        raise UserError(
            f"run_dir={run_dir} holds a run with other options: {'; '.join(differences[:5])}{more}; "
            "choose another run_dir, or leave it out"
        )


def _flat(node: Any, prefix: str = "") -> dict[str, Any]:
    """Nested dictionaries as one, with dotted keys."""
    if not isinstance(node, dict):
        return {prefix[:-1]: node}
    return {key: value for name, child in node.items() for key, value in _flat(child, f"{prefix}{name}.").items()}


def say(text: str) -> None:
    """Prints a line, on the first process only."""
    if is_first():
        print(text, flush=True)


def quiet_lightning() -> None:
    """Silences Lightning's advice that does not apply to an endless stream under manual optimisation."""
    for name in ("pytorch_lightning", "lightning.pytorch", "lightning_fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    for pattern in (
        ".*does not have many workers.*",
        ".*Checkpoint directory.*exists and is not empty.*",
        ".*GPU available but not used.*",
        ".*isinstance.*LeafSpec.*",
        ".*`max_epochs` was not set.*",
        ".*treespec.*",
        ".*module.s. in eval mode at the start of training.*",
        ".*The dirpath has changed.*",
        ".*resuming from a checkpoint that ended before.*",
    ):
        warnings.filterwarnings("ignore", pattern)
