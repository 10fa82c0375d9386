"""Photographs: animals, faces, scenes and frames of videos."""

from pathlib import Path

from aestyle.data.keyed import keyed_bits
from aestyle.data.lmdbs import LmdbPictures
from aestyle.data.published.joined import Joined
from aestyle.data.published.layout import require, table
from aestyle.data.sources import ImageFolder, ImageSource, PictureFiles
from aestyle.errors import UserError


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
        listing = require(root / "list_eval_partition.txt", help)
        names = {"0": "train", "1": "val", "2": "test"}
        partition = {file: names.get(part, "") for file, part in table(listing, 2)}
        super().__init__(str(root), folder, sorted(folder.glob("*.jpg")))
        if missing := next((file.name for file in self._paths if not partition.get(file.name)), None):
            raise UserError(f"{listing}: does not say which part {missing} is in; fetch it anew")
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
        listing = require(root / "CelebA-HQ-to-CelebA-mapping.txt", help)
        original = {number: index for number, index, *_ in table(listing, 3) if index.isdigit()}
        files = [file for suffix in ("jpg", "png") for file in folder.glob(f"*.{suffix}") if file.stem.isdigit()]
        super().__init__(str(root), folder, sorted(files, key=lambda file: int(file.stem)))
        if missing := next((file.name for file in self._paths if file.stem not in original), None):
            raise UserError(f"{listing}: does not say where {missing} comes from; fetch it anew")
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


def _folders(folder: Path) -> list[Path]:
    return sorted(inner for inner in folder.iterdir() if inner.is_dir())


def _some(folders: list[Path], n: int | None) -> list[Path]:
    """``n`` of the folders, chosen by a hash of their names, in the order of the names."""
    by_hash = sorted(folders, key=lambda folder: keyed_bits("choose", folder.parent.name, folder.name))
    return sorted(by_hash[:n])
