"""Loggers that need more than Lightning's constructor."""

import secrets
from pathlib import Path
from typing import Any

import wandb
from pytorch_lightning.loggers import WandbLogger


def wandb_logger(run_dir: str, **kwargs: Any) -> WandbLogger:
    """A W&B logger that continues the same W&B run when the training is resumed.

    The run's id is kept in ``<run_dir>/wandb_id.txt``. Everything is drawn over ``progress/kimg``.

    Args:
        run_dir: folder of the run.
        **kwargs: for ``WandbLogger`` (project, group, offline, ...).
    """
    path = Path(run_dir) / "wandb_id.txt"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(secrets.token_hex(4))
    wandb.finish()  # the run of the job before in a multirun, which would be taken for this one's
    logger = WandbLogger(save_dir=run_dir, id=path.read_text().strip(), resume="allow", **kwargs)
    logger.experiment.define_metric("*", step_metric="progress/kimg")
    return logger
