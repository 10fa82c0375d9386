"""A film of a training: its grids, one after the other."""

from pathlib import Path

import pytorch_lightning as pl
import torch
import wandb
from PIL import Image
from pytorch_lightning.loggers import WandbLogger
from torch import Tensor
from torchvision.transforms.functional import pil_to_tensor

from aestyle.data.transforms import to_float
from aestyle.engine.callbacks import method_of
from aestyle.studies.sheets import can_write_mp4, save_gif, save_mp4

LARGEST = 512
"""Pixels of a side of the film; larger grids are made smaller."""


class Film(pl.Callback):
    """At the end of a training, its grids become ``samples/<kind>.gif``, which W&B gets as ``film/<kind>``.

    With the extra ``aestyle[video]`` it is an MP4.

    Args:
        kind: ``samples`` or ``reconstructions``.
        frames: how many grids at most, spread over the training.
        fps: grids a second.
    """

    def __init__(self, kind: str = "samples", frames: int = 100, fps: int = 5) -> None:
        self.kind = kind
        self.frames = frames
        self.fps = fps

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Writes the film of all grids that are there, the last one and those before a restart as well."""
        paths = spread(sorted((Path(trainer.default_root_dir) / "samples").glob(f"{self.kind}-*.png")), self.frames)
        if not trainer.is_global_zero or not paths:
            return
        frames = torch.stack([read_frame(path) for path in paths])
        path = paths[0].parent / f"{self.kind}.{'mp4' if can_write_mp4() else 'gif'}"
        film = save_mp4(frames, path, self.fps) if can_write_mp4() else save_gif(frames, path, self.fps)
        for logger in trainer.loggers:
            if isinstance(logger, WandbLogger):
                kimg = method_of(pl_module).images_seen / 1000
                logger.experiment.log({"progress/kimg": kimg, f"film/{self.kind}": wandb.Video(str(film))})


def spread(paths: list[Path], count: int) -> list[Path]:
    """At most ``count`` of them, with the first and the last."""
    if len(paths) <= count:
        return paths
    return [paths[round(i * (len(paths) - 1) / max(1, count - 1))] for i in range(count)]


def read_frame(path: Path) -> Tensor:
    """A grid as an image (3, H, W) in [-1, 1] with even sides of at most 512 pixels, which films need."""
    with Image.open(path) as image:
        picture = image.convert("RGB")
    scale = min(1.0, LARGEST / max(picture.size))
    width, height = (max(2, round(side * scale) // 2 * 2) for side in picture.size)
    if scale < 1:
        picture = picture.resize((width, height), Image.Resampling.LANCZOS)
    return to_float(pil_to_tensor(picture.crop((0, 0, width, height)))[None])[0]
