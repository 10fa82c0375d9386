"""The same pictures give the same tensors, wherever they are kept."""

import multiprocessing
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import ConcatDataset, DataLoader

from aestyle.data.arrays import open_idx
from aestyle.data.opening import open_source
from aestyle.data.pictures import Pictures
from aestyle.data.sources import ImageSource
from aestyle.data.transforms import Preparation
from aestyle.data.writing import write_archive

from .lookalikes import encoded, nvidia_zip, rosinality_lmdb, write_idx, write_lmdb
from .pictures import random_picture

N, SIZE = 7, 12
PREPARATION = Preparation(8, 3)


def as_folder(path: Path, pictures: list) -> Path:
    path.mkdir()
    for index, picture in enumerate(pictures):
        picture.save(path / f"{index:05d}.png")
    return path


def pixels(pictures: list) -> np.ndarray:
    return np.stack([np.asarray(picture) for picture in pictures])


def save(path: Path, write: Callable[[Path], object]) -> Path:
    write(path)
    return path


FORMS: dict[str, Callable[[Path, list], Path]] = {
    "folder": lambda path, pictures: as_folder(path / "set", pictures),
    "nvidia zip": lambda path, pictures: nvidia_zip(path / "set.zip", [encoded(p) for p in pictures], None),
    "rosinality lmdb": lambda path, pictures: rosinality_lmdb(path / "set", {SIZE: [encoded(p) for p in pictures]}),
    "lsun lmdb": lambda path, pictures: write_lmdb(
        path / "set", {f"{i:040x}".encode(): encoded(p) for i, p in enumerate(pictures)}
    ),
    "npy": lambda path, pictures: save(path / "set.npy", lambda file: np.save(file, pixels(pictures))),
    "npz": lambda path, pictures: save(path / "set.npz", lambda file: np.savez(file, images=pixels(pictures))),
    "channels first": lambda path, pictures: save(
        path / "set.npy", lambda file: np.save(file, pixels(pictures).transpose(0, 3, 1, 2))
    ),
}


def tensors(source: ImageSource) -> Tensor:
    return Pictures(source, PREPARATION).batch(range(len(source)))


@pytest.fixture(params=FORMS)
def form(request: pytest.FixtureRequest) -> Callable[[Path, list], Path]:
    return FORMS[request.param]


def test_every_source_and_its_archive_give_the_tensors_of_the_folder(
    form: Callable[[Path, list], Path], tmp_path: Path
) -> None:
    pictures = [random_picture(SIZE, SIZE) for _ in range(N)]
    expected = torch.stack([PREPARATION(picture) for picture in pictures])
    source = open_source(form(tmp_path, pictures))
    assert torch.equal(tensors(source), expected)
    archive = write_archive(tmp_path / "archive", source, PREPARATION)
    assert torch.equal(tensors(archive), expected)
    assert torch.equal(tensors(open_source(tmp_path / "archive")), expected)
    assert torch.equal(Pictures(archive, PREPARATION).cache(), expected)
    assert [archive.key(i) for i in range(N)] == [source.key(i) for i in range(N)]


class Decoded(torch.utils.data.Dataset):
    def __init__(self, source: ImageSource) -> None:
        self.pictures = Pictures(source, PREPARATION)

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, index: int) -> Tensor:
        return self.pictures.batch([index])[0]


@pytest.mark.slow
@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_worker_processes_open_their_own_handles(start: str, tmp_path: Path) -> None:
    """Every form in the same two workers: starting them is what costs."""
    pictures = [random_picture(SIZE, SIZE) for _ in range(N)]
    expected = torch.stack([PREPARATION(picture) for picture in pictures])
    sources = {}
    for name, form in FORMS.items():
        (tmp_path / name).mkdir()
        sources[name] = open_source(form(tmp_path / name, pictures))
        tensors(sources[name])  # this process has opened it before
    loader = DataLoader(
        ConcatDataset([Decoded(source) for source in sources.values()]),
        batch_size=None,
        num_workers=2,
        multiprocessing_context=multiprocessing.get_context(start),
    )
    for name, loaded in zip(sources, torch.stack(list(loader)).split(N), strict=True):
        assert torch.equal(loaded, expected), name
        assert torch.equal(tensors(sources[name]), expected), name


def test_a_source_survives_a_pickle(form: Callable[[Path, list], Path], tmp_path: Path) -> None:
    source = open_source(form(tmp_path, [random_picture(SIZE, SIZE) for _ in range(N)]))
    expected = tensors(source)
    copy = pickle.dumps(source)
    assert torch.equal(tensors(source), expected)
    del source  # an LMDB may be open only once in a process
    assert torch.equal(tensors(pickle.loads(copy)), expected)


def test_labels_come_from_nvidia_s_table_or_from_folders(tmp_path: Path) -> None:
    pictures = [encoded(random_picture(4, 4)) for _ in range(5)]
    labels = torch.randint(0, 9, (5,)).tolist()
    assert open_source(nvidia_zip(tmp_path / "a.zip", pictures, labels)).labels == labels
    np.savez(tmp_path / "b.npz", images=np.zeros((5, 4, 4), np.uint8), labels=np.asarray(labels))
    assert open_source(tmp_path / "b.npz").labels == labels
    write_idx(tmp_path / "c-images-idx3-ubyte.gz", np.zeros((5, 4, 4)))
    write_idx(tmp_path / "c-labels-idx1-ubyte.gz", np.asarray(labels))
    assert open_source(tmp_path / "c-images-idx3-ubyte.gz").labels == labels
    np.save(tmp_path / "d.npy", np.zeros((5, 4, 4), np.uint8))
    assert open_source(tmp_path / "d.npy").labels is None


def test_an_lmdb_with_several_sizes_gives_the_one_that_fits(tmp_path: Path) -> None:
    stored = {size: [encoded(random_picture(size, size), "JPEG") for _ in range(3)] for size in (8, 16, 128)}
    path = rosinality_lmdb(tmp_path / "set", stored)
    for resolution, size in ((8, 8), (16, 16), (12, 16), (32, 128), (256, 128), (None, 128)):
        source = open_source(path, resolution)
        assert len(source) == 3
        assert source.load(1).size == (size, size)
        assert source.read(2) == stored[size][2]
        del source


def test_idx_files_hold_greys_and_may_lie_on_their_side(tmp_path: Path) -> None:
    values = np.random.default_rng().integers(0, 256, (4, 6, 5)).astype(np.uint8)
    for suffix in ("", ".gz"):
        file = write_idx(tmp_path / f"x-images-idx3-ubyte{suffix}", values)
        assert np.array_equal(np.asarray(open_source(file).load(2)), values[2])
        assert np.array_equal(np.asarray(open_idx(file, transposed=True).load(2)), values[2].T)
