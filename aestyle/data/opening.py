"""One door for whatever the user has: a path is looked at, and the source that fits is opened."""

import os
from pathlib import Path

from aestyle.data.archive import Archive, is_archive
from aestyle.data.arrays import open_array, open_idx
from aestyle.data.lmdbs import LmdbPictures
from aestyle.data.sources import ImageFolder, ImageSource
from aestyle.data.zips import ZipPictures
from aestyle.errors import UserError


def open_source(
    path: str | os.PathLike[str], resolution: int | None = None, within: str = "", help: str = ""
) -> ImageSource:
    """Opens a folder of pictures, a zip file, an LMDB, a ``.npy``, ``.npz`` or idx file, or a prepared archive.

    Args:
        path: Where it is; ``~`` is the home folder.
        resolution: Which size to read of an LMDB that holds several; see :class:`~aestyle.data.lmdbs.LmdbPictures`.
        within: Subfolder that holds the pictures of a published data set; the folder itself, if it is not there.
        help: What to get and where to put it, for the message if nothing is there.

    Raises:
        UserError: If it is missing, damaged or nothing of the kind; names it.
    """
    root = Path(str(path)).expanduser()  # a folder called 2024 comes as a number
    if help and not root.exists():
        raise UserError(f"{root}: no such folder or file; {help}")
    if root.is_dir():
        return _open_folder(root / within if (root / within).is_dir() else root, resolution)
    suffix = root.suffix.lower()
    if suffix == ".zip":
        return ZipPictures(root)
    if suffix in (".npy", ".npz"):
        return open_array(root)
    if suffix in (".mdb", ".lmdb"):
        return LmdbPictures(root, resolution)
    if "idx3" in root.name:
        labels = root.with_name(root.name.replace("images-idx3", "labels-idx1"))
        return open_idx(root, labels if labels.is_file() and labels != root else None)
    if root.is_file():
        raise UserError(f"{root}: is no folder, .zip, .npy, .npz, .lmdb or idx file; give one of these")
    return ImageFolder(root)


def _open_folder(root: Path, resolution: int | None) -> ImageSource:
    if is_archive(root):
        return Archive(root)
    if (root / "data.mdb").is_file():
        return LmdbPictures(root, resolution)
    return ImageFolder(root)
