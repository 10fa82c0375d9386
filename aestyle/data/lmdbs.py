"""Pictures in an LMDB: rosinality's layout with sizes, or one picture a key as LSUN is published."""

import functools
import os
from pathlib import Path
from weakref import WeakValueDictionary

import lmdb

from aestyle.data.handles import PerProcess
from aestyle.data.sources import NamedPictures, file_stamp
from aestyle.errors import UserError

LENGTH = b"length"

_SHARED: WeakValueDictionary[tuple[int, str], lmdb.Environment] = WeakValueDictionary()
"""By process and real path: LMDB forbids a process to open a database twice, but two sources may read it."""


class LmdbPictures(NamedPictures):
    """Encoded pictures by key, as they are stored.

    Where there is a key ``length`` (decimal digits), picture i of size s has the key ``s-iiiii``, five digits at
    least: the layout of rosinality's StyleGAN2, in which a database may hold every picture in several sizes. Else
    every value is a picture and its key the name, in the order of the keys: the layout of LSUN.

    Args:
        path: The folder with ``data.mdb``, or the database file itself.
        resolution: Which of several stored sizes to read: this one, else the next larger, else the largest.

    Raises:
        UserError: If it is missing, damaged, truncated or holds no pictures.
    """

    def __init__(self, path: Path, resolution: int | None = None) -> None:
        self._stamp = file_stamp(path / "data.mdb" if path.is_dir() else path)
        self._lmdb = PerProcess(functools.partial(_open, path))
        with self._lmdb().begin() as view:
            length = view.get(LENGTH)
            if length is not None:
                size = _choose(_sizes(view), resolution, path)
                names = [f"{index:05d}" for index in range(_count(length, path))]
                self._stored = [f"{size}-{name}".encode() for name in names]
            else:
                self._stored = list(view.cursor().iternext(keys=True, values=False))
                names = [key.decode("utf-8", "surrogateescape") for key in self._stored]
        if not names:
            raise UserError(f"{path}: no pictures in this LMDB; make or fetch it anew")
        super().__init__(str(path), names)  # the number without the size (rosinality), or the key (LSUN)

    def read(self, index: int) -> bytes:
        """The stored bytes of the picture.

        Raises:
            UserError: If the key is missing; names it.
        """
        with self._lmdb().begin() as view:
            value = view.get(self._stored[index])
        if value is None:
            raise UserError(f"{self.name}: has no picture {self._stored[index].decode()}; make or fetch it anew")
        return bytes(value)

    def stamp(self, index: int) -> str:
        """Size and time of the database, and which picture of it: another stored size is another picture."""
        return f"{self._stamp} {self._stored[index]!r}"


def _open(path: Path) -> lmdb.Environment:
    if not path.exists():
        raise UserError(f"{path}: no such LMDB; give the folder that holds data.mdb")
    place = (os.getpid(), os.path.realpath(path))
    if (shared := _SHARED.get(place)) is not None:
        return shared
    try:
        database = lmdb.open(str(path), subdir=path.is_dir(), readonly=True, lock=False, readahead=False)
    except lmdb.Error as error:
        raise UserError(f"{path}: is not an LMDB that can be read ({error}); make or fetch it anew") from None
    file = path / "data.mdb" if path.is_dir() else path
    if (database.info()["last_pgno"] + 1) * database.stat()["psize"] > file.stat().st_size:
        # reading on would end the process with a bus error
        raise UserError(f"{file}: is cut off; fetch or copy it anew")
    _SHARED[place] = database
    return database


def _sizes(view: lmdb.Transaction) -> list[int]:
    sizes, cursor = [], view.cursor()
    found = cursor.first()
    while found:
        size = bytes(cursor.key()).partition(b"-")[0]
        if size.isdigit():
            sizes.append(int(size))
        found = cursor.set_range(size + b"-:") if size.isdigit() else cursor.next()  # ":" comes after all digits
    return sorted(sizes)


def _choose(sizes: list[int], resolution: int | None, path: Path) -> int:
    if not sizes:
        raise UserError(f"{path}: has a length but no keys such as 128-00000; make it anew")
    return next((size for size in sizes if size >= (resolution or sizes[-1])), sizes[-1])


def _count(length: bytes, path: Path) -> int:
    try:
        return int(bytes(length))
    except ValueError:
        raise UserError(f"{path}: its key length does not hold a number; make it anew") from None
