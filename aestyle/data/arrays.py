"""Pictures in arrays: ``.npy``, ``.npz`` and the idx files of MNIST and its relatives."""

import functools
import gzip
import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from aestyle.data.handles import PerProcess
from aestyle.data.sources import NamedPictures, file_stamp
from aestyle.errors import UserError

Pixels = NDArray[np.uint8]


class ArrayPictures(NamedPictures):
    """Pictures that are already pixels.

    Args:
        name: What messages call them.
        images: Gives uint8 (N, H, W), (N, H, W, C) or (N, C, H, W) with C = 1 or 3.
        labels: One class number a picture.
        keys: One name a picture; the number, at least five digits, where none are given.
        stamp: What changes when the file does.

    Raises:
        UserError: If the array is none of these, or labels are too few or too many.
    """

    def __init__(
        self,
        name: str,
        images: Callable[[], Pixels],
        labels: Sequence[int] | NDArray[Any] | None = None,
        keys: Sequence[str] | None = None,
        stamp: str = "",
    ) -> None:
        self._images = images
        self._stamp = stamp
        shape, kind = images().shape, images().dtype
        self._channels_first = len(shape) == 4 and shape[-1] not in (1, 3)
        channels = (1 if len(shape) == 3 else shape[1 if self._channels_first else 3]) if len(shape) in (3, 4) else 0
        if kind != np.uint8 or channels not in (1, 3) or 0 in shape:
            raise UserError(
                f"{name}: holds {kind} values of shape {tuple(shape)}; save pictures as uint8 (N, H, W), (N, H, W, 3) "
                "or (N, 3, H, W)"
            )
        if labels is not None and len(labels) != shape[0]:
            raise UserError(f"{name}: {shape[0]} pictures but {len(labels)} labels; they must be as many")
        numbers = [int(label) for label in labels] if labels is not None else None
        super().__init__(name, keys or [f"{index:05d}" for index in range(shape[0])], numbers)

    def read(self, index: int) -> bytes:
        """The raw values."""
        return self._pixels(index).tobytes()

    def load(self, index: int) -> Image.Image:
        """The picture, of mode L or RGB."""
        return Image.fromarray(self._pixels(index))

    def stamp(self, index: int) -> str:
        """What was given for the whole array."""
        return self._stamp

    def _pixels(self, index: int) -> Pixels:
        pixels = np.asarray(self._images()[index])
        if self._channels_first:
            pixels = pixels.transpose(1, 2, 0)
        return np.ascontiguousarray(pixels[..., 0] if pixels.ndim == 3 and pixels.shape[-1] == 1 else pixels)


def open_array(path: Path) -> ArrayPictures:
    """The pictures of a ``.npy`` file, or of a ``.npz`` with ``images`` (or a single array) and perhaps ``labels``.

    Raises:
        UserError: If the file is missing or damaged, or does not hold such arrays.
    """
    if path.suffix == ".npy":
        return ArrayPictures(str(path), PerProcess(functools.partial(_map, path)), stamp=file_stamp(path))
    loaded = _load(path)
    names = [name for name in loaded if name != "labels"]
    name = "images" if "images" in names else names[0] if len(names) == 1 else None
    if name is None:
        raise UserError(f"{path}: holds the arrays {', '.join(names) or 'none'}; name the pictures images")
    return ArrayPictures(str(path), Held(loaded[name]), loaded.get("labels"), stamp=file_stamp(path))


def open_idx(images: Path, labels: Path | None = None, transposed: bool = False) -> ArrayPictures:
    """The pictures of an idx file, gzipped or not, as MNIST is published (LeCun, Cortes and Burges).

    Args:
        images: The file of the pictures, uint8 (N, rows, columns).
        labels: The file of the class numbers, uint8 (N,).
        transposed: Whether rows and columns are stored the other way round, as in EMNIST.

    Raises:
        UserError: If a file is missing or damaged.
    """
    pixels = _read_idx(images, 3)
    held = Held(np.ascontiguousarray(pixels.swapaxes(1, 2)) if transposed else pixels)
    classes = _read_idx(labels, 1).tolist() if labels else None
    return ArrayPictures(str(images), held, classes, stamp=f"{file_stamp(images)} {transposed}")


class Held:
    """An array in memory, called for like one that is opened on demand.

    Args:
        array: The array.
    """

    def __init__(self, array: Pixels) -> None:
        self.array = array

    def __call__(self) -> Pixels:
        """The array."""
        return self.array


def _map(path: Path) -> Pixels:
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise _unreadable(path, error) from None


def _load(path: Path) -> dict[str, Pixels]:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except (ValueError, OSError, EOFError, AttributeError, zipfile.BadZipFile, zlib.error) as error:
        raise _unreadable(path, error) from None


def _read_idx(path: Path, dimensions: int) -> Pixels:
    try:
        content = path.read_bytes()
        content = gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
    except (OSError, EOFError, zlib.error) as error:
        raise _unreadable(path, error) from None
    # two zeros, 8 for unsigned bytes, the number of dimensions, then each as a big-endian 32-bit number
    if content[:4] != bytes([0, 0, 8, dimensions]):
        raise UserError(f"{path}: is not an idx file of {dimensions}-dimensional bytes; fetch it anew")
    start = 4 + 4 * dimensions
    shape = np.frombuffer(content[4:start], ">u4").tolist()
    if len(shape) != dimensions or len(content) - start != np.prod(shape, dtype=np.int64):
        raise UserError(f"{path}: is cut off or has rubbish at its end; fetch it anew")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def _unreadable(path: Path, error: Exception) -> UserError:
    reason = getattr(error, "strerror", None) or str(error).partition("\n")[0]
    return UserError(f"{path}: cannot be read ({reason}); make or fetch it anew")
