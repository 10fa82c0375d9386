"""Times iterations through the Trainer beside the same iterations without it: what Lightning, data and logs cost.

Joint AE-StyleGAN with the networks of the paper (512 channels, 32 px), trained as ``python -m aestyle.train`` trains it
on pictures from a folder, read in the same process, with a line of statistics after every iteration; in turns with the
same method's phases on a batch that lies in memory. Checkpoints and grids, which come once in thousands of pictures,
are left out. :mod:`benchmarks.aae_epoch` asks the same of a small network.

Run as ``python -m benchmarks.overhead``.
"""

import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from PIL import Image

from benchmarks.steps import Case, built, composed, kinds, without_trainer

ITERATIONS = 8
BATCH = 4
PICTURES = 64


@dataclass
class Alternate(pl.Callback):
    """Runs and times ``other`` after every so many iterations of the training that it belongs to.

    Args:
        other: what the training is measured beside.
        iterations: of the training between two of its turns.
    """

    other: Callable[[], object]
    iterations: int = 1
    training: list[float] = field(default_factory=list)
    others: list[float] = field(default_factory=list)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """When it is the other's turn, stops the training's watch, and starts it anew behind the other."""
        now = time.perf_counter()
        if (batch_idx + 1) % self.iterations:
            return
        if batch_idx + 1 > self.iterations:  # the first turn warms up
            self.training.append(now - self._start)
        self.other()
        self._start = time.perf_counter()
        if self.training:
            self.others.append(self._start - now)


def measure(folder: Path) -> Alternate:
    """Trains for a few iterations; the seconds of each, and of those without a Trainer between them."""
    from aestyle.studies.training import build

    options = (f"dataset.path={folder}", "dataset.num_workers=0", f"batch_size={BATCH}", "trainer=cpu")
    kimg = [f"kimg={(ITERATIONS + 1) * BATCH / 1000}", f"scale.stats_kimg={BATCH / 1000}"]
    case = Case("joint_ae", "paper", "folder", BATCH, (*options, *kimg))
    method, _ = built(case)
    cfg = composed(case)
    # Regularisers would fall to some iterations of the one and to others of the other.
    cfg.method.r1 = cfg.method.path_length = None
    trained, data, trainer = build(cfg, folder / "run")
    watch = Alternate(without_trainer(method, BATCH, kinds(method)["ordinary"]))
    trainer.callbacks.append(watch)  # type: ignore[attr-defined]
    (folder / "run").mkdir()
    with redirect_stdout(None):
        trainer.fit(trained, datamodule=data)
    return watch


def write_pictures(folder: Path) -> None:
    """Random pictures of 32 px."""
    random = np.random.default_rng(0)
    for number in range(PICTURES):
        Image.fromarray(random.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(folder / f"{number:03d}.png")


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        write_pictures(Path(scratch))
        watch = measure(Path(scratch))
    print(f"{ITERATIONS} iterations of joint_ae, 512 channels, 32 px, batch {BATCH}, {torch.get_num_threads()} threads")
    for name, taken in (("through the Trainer", watch.training), ("without it", watch.others)):
        print(f"{name:<20} {statistics.median(taken):.2f} s")
    ratio = statistics.median(a / b for a, b in zip(watch.training, watch.others, strict=True))
    print(f"ratio of neighbours: {ratio:.3f} (at most 1.03 is the aim)")


if __name__ == "__main__":
    main()
