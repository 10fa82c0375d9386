"""Times how fast pictures come from a folder, a zip file, an LMDB and a prepared archive, at 32 and 128 px.

The pictures are JPEGs of 1024 px (smooth noise, of the size of photographs), written for the occasion. Two worker
processes load them as training does, without the cache in memory; one row shows that cache. :mod:`benchmarks.methods`
has the images that a training step consumes a second.

Run as ``python -m benchmarks.loader``.
"""

import io
import tempfile
import time
import zipfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from types import SimpleNamespace

import lmdb
import numpy as np
import torch
from PIL import Image

from aestyle.data.archive import Archive
from aestyle.data.datamodule import ImageDataModule
from aestyle.data.opening import open_source
from aestyle.data.sources import ImageSource
from aestyle.data.splits import FractionSplit
from aestyle.data.transforms import Preparation
from aestyle.data.writing import write_archive

N, SIDE = 128, 1024
BATCH = 16
SECONDS = 4.0


def jpegs() -> list[bytes]:
    random = np.random.default_rng(0)
    pictures = []
    for _ in range(N):
        coarse = Image.fromarray(random.integers(0, 256, (64, 64, 3), dtype=np.uint8))
        buffer = io.BytesIO()
        coarse.resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=95)
        pictures.append(buffer.getvalue())
    return pictures


def write(folder: Path) -> dict[str, Path]:
    """The same pictures in every form."""
    paths = {"folder": folder / "folder", "zip": folder / "set.zip", "LMDB": folder / "lmdb"}
    paths["folder"].mkdir()
    with zipfile.ZipFile(paths["zip"], "w") as archive, lmdb.open(str(paths["LMDB"]), map_size=2**32) as database:
        for index, content in enumerate(jpegs()):
            (paths["folder"] / f"{index:05d}.jpg").write_bytes(content)
            archive.writestr(f"{index:05d}.jpg", content)
            with database.begin(write=True) as change:
                change.put(f"{SIDE}-{index:05d}".encode(), content)
        with database.begin(write=True) as change:
            change.put(b"length", str(N).encode())
    return paths


def png_zip(path: Path, archive: Archive) -> ImageSource:
    """Prepared pictures the way NVIDIA's tools keep them: what the raw archive has to beat."""
    with zipfile.ZipFile(path, "w") as file:
        for index in range(len(archive)):
            buffer = io.BytesIO()
            archive.load(index).save(buffer, "PNG", compress_level=0, optimize=False)
            file.writestr(f"{index:05d}.png", buffer.getvalue())
    return open_source(path)


def images_per_second(source: ImageSource, resolution: int, cache: bool, workers: int) -> float:
    """Images a second of the training stream, after its first batches."""
    data = ImageDataModule(
        "bench", source, FractionSplit(0, 0), resolution, 3, BATCH, seed=0, num_workers=workers, cache=cache
    )
    method = SimpleNamespace(images_seen=0, batches_per_iteration=1, batch_sizes=lambda size: {0: size})
    data.trainer = SimpleNamespace(  # type: ignore[assignment]
        lightning_module=method, global_rank=0, world_size=1, is_global_zero=False
    )
    data.setup()
    batches: Iterator[object] = iter(data.train_dataloader())
    list(islice(batches, 8))  # the workers are up, and what they had prepared meanwhile is used up
    start, count = time.perf_counter(), 0
    while time.perf_counter() < start + SECONDS:
        next(batches)
        count += BATCH
    return count / (time.perf_counter() - start)


def main() -> None:
    torch.set_num_threads(1)
    print(f"Loading {N} JPEGs of {SIDE} px, batches of {BATCH}, no cache but where it says so")
    print("source            workers  images/s at 32 px  at 128 px")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        sources = {name: open_source(path) for name, path in write(folder).items()}
        archives = {side: write_archive(folder / f"{side}", sources["zip"], Preparation(side, 3)) for side in (32, 128)}
        for name, source in sources.items():
            speeds = [images_per_second(source, side, False, 2) for side in archives]
            print(f"{name:<16}  {2:>7}  {speeds[0]:>17.0f}  {speeds[1]:>9.0f}", flush=True)
        speeds = [images_per_second(png_zip(folder / f"{side}.zip", a), side, False, 2) for side, a in archives.items()]
        print(f"{'zip of small PNGs':<16}  {2:>6}  {speeds[0]:>17.0f}  {speeds[1]:>9.0f}", flush=True)
        for name, cache, workers in (("archive", False, 2), ("archive", False, 0), ("archive, cached", True, 0)):
            speeds = [images_per_second(archive, side, cache, workers) for side, archive in archives.items()]
            print(f"{name:<16}  {workers:>7}  {speeds[0]:>17.0f}  {speeds[1]:>9.0f}", flush=True)


if __name__ == "__main__":
    main()
