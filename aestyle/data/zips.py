"""Pictures in a zip file, with or without NVIDIA's ``dataset.json``."""

import functools
import json
import zipfile
import zlib
from collections import Counter
from pathlib import Path

from aestyle.data.handles import PerProcess
from aestyle.data.sources import NamedPictures, folder_classes, is_picture_name
from aestyle.errors import UserError

LABELS = "dataset.json"


class ZipPictures(NamedPictures):
    """Every picture in a zip file, in the order of the names.

    The layout of NVIDIA's data set tools is one case: ``dataset.json`` lists ``[name, label]`` pairs under ``labels``,
    or null. Without that file, exactly one level of subfolders gives the classes, as for a folder. Labels that are
    vectors are not class numbers, and left out.

    Args:
        path: The zip file.

    Raises:
        UserError: If it is missing, damaged or holds no picture, two entries share a name, or a label is missing.
    """

    def __init__(self, path: Path) -> None:
        # partial, not a method of this object: nothing may keep an open handle alive in a pickle
        self._zip = PerProcess(functools.partial(_open, path))
        entries = [info for info in self._zip().infolist() if is_picture_name(info.filename)]
        if not entries:
            raise UserError(f"{path}: no pictures in it; give a zip file of pictures")
        twice = [name for name, times in Counter(info.filename for info in entries).items() if times > 1]
        if twice:
            raise UserError(f"{path}: {len(twice)} names occur twice, such as {twice[0]}; make the zip file anew")
        entries.sort(key=lambda info: info.filename)
        super().__init__(str(path), [info.filename for info in entries])
        self._labels = self._published_labels() or folder_classes(self._keys)
        self._stamps = [f"{info.file_size} {info.CRC}" for info in entries]

    def read(self, index: int) -> bytes:
        """The content of the entry.

        Raises:
            UserError: If the entry is damaged or encrypted; names it.
        """
        try:
            return self._zip().read(self._keys[index])
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, NotImplementedError) as error:
            raise UserError(
                f"{self.name}/{self._keys[index]}: cannot be unpacked ({error}); make or fetch the zip file anew"
            ) from None

    def stamp(self, index: int) -> str:
        """Size and checksum of the entry."""
        return self._stamps[index]

    def _published_labels(self) -> list[int] | None:
        try:
            pairs = json.loads(self._zip().read(LABELS)).get("labels")
            labels = dict(pairs or ())
        except KeyError:  # no such file
            return None
        except (ValueError, TypeError, AttributeError, zipfile.BadZipFile, zlib.error) as error:
            raise UserError(f"{self.name}/{LABELS}: cannot be read ({error}); repair or remove it") from None
        if not all(isinstance(label, int) for label in labels.values()) or not labels:
            return None
        if missing := [key for key in self._keys if key not in labels]:
            raise UserError(f"{self.name}/{LABELS}: has no label for {missing[0]}; add it or set labels to null")
        return [labels[key] for key in self._keys]


def _open(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; give a zip file of pictures") from None
    except (zipfile.BadZipFile, OSError) as error:
        raise UserError(f"{path}: is not a whole zip file ({error}); make or fetch it anew") from None
