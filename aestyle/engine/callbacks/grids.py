"""Pictures along the training: samples of fixed codes, reconstructions of fixed real images."""

from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
import wandb
from pytorch_lightning.loggers import WandbLogger
from torch import Tensor
from torchvision.utils import save_image

from aestyle.data.datamodule import ImageDataModule
from aestyle.data.transforms import to_float, to_uint8
from aestyle.engine.callbacks import Cadence, method_of


class Grids(pl.Callback):
    """Writes ``samples/samples-<kimg>.png`` and ``samples/reconstructions-<kimg>.png``.

    W&B gets them too, as ``grids/samples`` and ``grids/reconstructions``, and histograms of what the method says of the
    codes of the real images, as ``histogram/mu``. How far the samples differ from each other, as part of what the real
    images do, joins the iteration's values on the first process: ``health/sample_spread``.

    The real images are part of the checkpoint and the codes are keyed by the seed, so that every grid of a run shows
    the same faces, whatever happens to the data in between. The first one is written before training.

    Args:
        every_kimg: interval between grids.
        images: how many pictures a grid shows.
    """

    def __init__(self, every_kimg: float, images: int = 64) -> None:
        self.cadence = Cadence(every_kimg)
        self.images = images
        self.real: Tensor | None = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Chooses the real images: of the val split if there is one, spread over it."""
        data = trainer.datamodule  # type: ignore[attr-defined]
        assert isinstance(data, ImageDataModule)
        if self.real is None:
            split = "val" if data.has("val") else "train"
            images = data.images(split)
            count = min(self.images // 2, len(images))
            self.real = images.batch([i * len(images) // count for i in range(count)])
        if method_of(pl_module).images_seen == 0:
            self._draw(trainer, pl_module)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Draws when due."""
        method = method_of(pl_module)
        if self.cadence.due(method.images_before, method.images_seen):
            spread = self._draw(trainer, pl_module)
            method.batch_stats.update({} if spread is None else {"health/sample_spread": spread})

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Draws the last state."""
        self._draw(trainer, pl_module)

    @torch.no_grad()
    def _draw(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> float | None:
        """Draws on the first process; gives back how far the samples differ."""
        if not trainer.is_global_zero:
            return None
        method = method_of(pl_module)
        grids, values = {"samples": method.sample(self.images, seed=method.seed)}, {}
        if method.has_encoder and self.real is not None:
            real = to_float(self.real.to(method.device)).to(method.dtype)
            grids["reconstructions"] = beside(real, method.decode(method.encode(real)))
            values = method.latent_values(real)
        kimg = method.images_seen / 1000
        folder = Path(trainer.default_root_dir) / "samples"
        folder.mkdir(exist_ok=True)
        paths = {name: folder / f"{name}-{kimg:08.2f}.png" for name in grids}
        for name, images in grids.items():
            save_grid(images, paths[name])
        for logger in trainer.loggers:
            if isinstance(logger, WandbLogger):
                shown = {f"grids/{n}": [wandb.Image(str(path), caption=f"{kimg:g} kimg")] for n, path in paths.items()}
                drawn = {f"histogram/{n}": _histogram(v) for n, v in values.items() if v.isfinite().all()}
                logger.experiment.log({"progress/kimg": kimg, **shown, **drawn})
        return None if self.real is None else _spread(grids["samples"]) / max(_spread(to_float(self.real)), 1e-6)

    def state_dict(self) -> dict[str, Any]:
        """The fixed real images."""
        return {"real": self.real}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores the fixed real images."""
        self.real = state_dict["real"]


def _spread(images: Tensor) -> float:
    """Standard deviation over images, mean over pixels."""
    return float(images.float().std(dim=0, correction=0).mean())


def _histogram(values: Tensor) -> wandb.Histogram:
    return wandb.Histogram(values.detach().float().flatten().tolist())


def beside(x: Tensor, rec: Tensor, columns: int = 8) -> Tensor:
    """Rows of ``columns`` images, each followed by the row of their reconstructions: (2N, C, H, W)."""
    rows = [torch.cat(pair) for pair in zip(x.split(columns), rec.split(columns), strict=True)]
    return torch.cat(rows)


def save_grid(images: Tensor, path: Path, columns: int = 8) -> None:
    """Writes images (N, C, H, W) in [-1, 1] as one PNG with ``columns`` pictures a row."""
    save_image(to_uint8(images).float() / 255, path, nrow=columns, padding=2, pad_value=1)
