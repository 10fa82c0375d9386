"""Loggers that need more than Lightning's constructor."""

import os
import secrets
from pathlib import Path
from typing import Any

import wandb
from pytorch_lightning.loggers import WandbLogger
from pytorch_lightning.utilities.rank_zero import rank_zero_only

from aestyle.engine.checkpoint import BEST, LAST


class ArtifactLogger(WandbLogger):
    """W&B's logger that keeps the checkpoints of a run as an artifact when it ends, ``checkpoints-<id>``.

    Args:
        run_dir: folder of the run.
        **kwargs: for ``WandbLogger``.
    """

    def __init__(self, run_dir: str, **kwargs: Any) -> None:
        super().__init__(save_dir=run_dir, **kwargs)
        self.checkpoints = Path(run_dir) / "checkpoints"

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Logs the artifact, unless the run failed."""
        super().finalize(status)
        files = [self.checkpoints / name for name in (LAST, BEST) if (self.checkpoints / name).exists()]
        if status == "success" and files:
            artifact = wandb.Artifact(f"checkpoints-{self.version}", type="model")
            for file in files:
                artifact.add_file(str(file.resolve()), policy="immutable")  # without a second copy on this disk
            self.experiment.log_artifact(artifact)


def wandb_logger(run_dir: str, artifacts: bool = False, group: str | None = None, **kwargs: Any) -> WandbLogger:
    """A W&B logger that continues the same W&B run when the training is resumed.

    The run's id is kept in ``<run_dir>/wandb_id.txt``. Everything is drawn over ``progress/kimg``.

    Args:
        run_dir: folder of the run.
        artifacts: the checkpoints become an artifact when the run ends.
        group: of runs; None: what the environment says in ``WANDB_RUN_GROUP``, as a study does for each of its runs.
        **kwargs: for ``WandbLogger`` (project, name, offline, ...).
    """
    wandb.finish()  # the run of the job before in a multirun, which would be taken for this one's
    group = group or os.environ.get("WANDB_RUN_GROUP")  # W&B itself asks the environment but once a process
    own: dict[str, Any] = {"id": _run_id(Path(run_dir)), "resume": "allow", "group": group, **kwargs}
    logger = ArtifactLogger(run_dir, **own) if artifacts else WandbLogger(save_dir=run_dir, **own)
    logger.experiment.define_metric("*", step_metric="progress/kimg")
    return logger


def _run_id(run_dir: Path) -> str:
    """The id in ``wandb_id.txt``; of several processes that find none, one writes it and all take that one."""
    path = run_dir / "wandb_id.txt"
    if not path.exists():
        run_dir.mkdir(parents=True, exist_ok=True)
        own = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        own.write_text(secrets.token_hex(4), encoding="utf-8")
        try:
            path.hardlink_to(own)  # all or nothing: it fails where another one was faster
        except FileExistsError:
            pass
        except OSError:  # no links on this disk
            os.replace(own, path)  # noqa: PTH105
        own.unlink(missing_ok=True)
    return path.read_text(encoding="utf-8").strip()
