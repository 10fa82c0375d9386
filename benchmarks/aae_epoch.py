"""Times epochs of an AAE through the Trainer beside the same steps as a bare PyTorch loop over tensors in memory.

The training is the one that ``python -m aestyle.train method=aae dataset=fashion_mnist`` runs: 60,000 pictures of 32 px
(random ones, written for the occasion), batches of 1024, its data module, its draws, its checks, its statistics,
checkpoints and grids. The loop has none of that: it takes float tensors in a random order, draws from PyTorch's own
generator, and steps the same networks with the same optimizers. Epochs of both alternate in one process, so that a
drift of the machine meets both.

Run as ``python -m benchmarks.aae_epoch``.
"""

import gzip
import statistics
import struct
import tempfile
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from benchmarks.overhead import Alternate

EPOCHS = 5
IMAGES = {"train": 60000, "t10k": 1000}
BATCH = 1024
ITERATIONS = -(-IMAGES["train"] // BATCH)
LATENT = 10
DROPPED = 0.3


def write_pictures(folder: Path) -> None:
    """Random pictures in the files of Fashion-MNIST."""
    random = np.random.default_rng(0)
    for part, count in IMAGES.items():
        _write_idx(folder / f"{part}-images-idx3-ubyte.gz", random.integers(0, 256, (count, 28, 28), dtype=np.uint8))
        _write_idx(folder / f"{part}-labels-idx1-ubyte.gz", random.integers(0, 10, count, dtype=np.uint8))


def _write_idx(path: Path, values: NDArray[np.uint8]) -> None:
    header = bytes([0, 0, 8, values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape)
    path.write_bytes(gzip.compress(header + values.tobytes(), 0))


class BareLoop:
    """The steps of an AAE as a script would have them: in IAAE's order, each network with an Adam of its own.

    Args:
        images: float (N, C, H, W) in [-1, 1].
    """

    def __init__(self, images: Tensor) -> None:
        from aestyle.nets.aae import CodeDiscriminator, Decoder, Encoder

        _, channels, resolution, _ = images.shape
        self.images = images
        self.encoder = Encoder(resolution, channels, LATENT)
        self.decoder = Decoder(resolution, channels, LATENT)
        self.discriminator = CodeDiscriminator(LATENT, DROPPED)
        self.e_adam = torch.optim.Adam(self.encoder.parameters(), 1e-4, fused=True)
        self.d_adam = torch.optim.Adam(self.discriminator.parameters(), 1e-4, fused=True)
        both = [*self.encoder.parameters(), *self.decoder.parameters()]
        self.ae_adam = torch.optim.Adam(both, 1e-4, fused=True)

    def epoch(self) -> None:
        """Once through the images in a random order, and on until the last batch is full."""
        order = torch.randperm(len(self.images)).repeat(2)[: ITERATIONS * BATCH]
        for chosen in order.split(BATCH):
            self.step(self.images[chosen])

    def step(self, x: Tensor) -> None:
        """One iteration: reconstruct, discriminate, deceive."""
        self.ae_adam.zero_grad()
        F.l1_loss(self.decoder(self.code(x)), x).backward()
        self.ae_adam.step()
        self.d_adam.zero_grad()
        with torch.no_grad():
            codes = self.code(x)
        real, fake = self.discriminate(torch.cat([torch.randn_like(codes), codes])).chunk(2)
        (F.softplus(-real).mean() + F.softplus(fake).mean()).backward()
        self.d_adam.step()
        self.e_adam.zero_grad()
        F.softplus(-self.discriminate(self.code(x))).mean().backward()
        self.e_adam.step()

    def code(self, x: Tensor) -> Tensor:
        """Codes drawn from the posterior of images."""
        posterior = self.encoder(x)
        return posterior.sample(torch.randn_like(posterior.mu))

    def discriminate(self, codes: Tensor) -> Tensor:
        """Logits with dropout."""
        for layer in self.discriminator.hidden:
            codes = F.dropout(F.leaky_relu(layer(codes), 0.2), DROPPED)
        return self.discriminator.head(codes)


def measure(folder: Path) -> tuple[list[float], list[float]]:
    """Seconds of the epochs through the Trainer and of those of the loop."""
    from hydra import compose, initialize_config_dir

    from aestyle.data.transforms import to_float
    from aestyle.entry import CONF
    from aestyle.resolvers import register
    from aestyle.studies.training import build

    write_pictures(folder)
    kimg = (EPOCHS + 1) * ITERATIONS * BATCH / 1000
    register()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        options = ["method=aae", "dataset=fashion_mnist", f"dataset.path={folder}", "trainer=cpu", f"kimg={kimg}"]
        cfg = compose("train", options)
    assert cfg.batch_size == BATCH
    method, data, trainer = build(cfg, folder / "run")
    loop = BareLoop(to_float(data.images("train").batch(range(IMAGES["train"]))))  # type: ignore[attr-defined]
    watch = Alternate(loop.epoch, ITERATIONS)
    trainer.callbacks.append(watch)  # type: ignore[attr-defined]
    (folder / "run").mkdir()
    trainer.fit(method, datamodule=data)
    return watch.training, watch.others


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch, redirect_stdout(None):
        epochs, others = measure(Path(scratch))
    threads, images = torch.get_num_threads(), ITERATIONS * BATCH
    print(f"{len(epochs)} epochs of an AAE at 32 px, {ITERATIONS} batches of {BATCH}, {threads} threads")
    print("            s/epoch  images/s")
    for name, seconds in (("aestyle", statistics.median(epochs)), ("bare loop", statistics.median(others))):
        print(f"{name:<10}  {seconds:>7.2f}  {images / seconds:>8.0f}")
    ratio = statistics.median(a / b for a, b in zip(epochs, others, strict=True))
    print(f"ratio of neighbours: {ratio:.3f} (at most 1.1 is the aim)")


if __name__ == "__main__":
    main()
