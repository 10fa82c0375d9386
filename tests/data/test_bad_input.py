"""Every kind of broken input is answered with one line that names it."""

import re
import zipfile
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from aestyle.data.archive import Archive
from aestyle.data.datamodule import ImageDataModule
from aestyle.data.opening import open_source
from aestyle.data.sampler import InfiniteBatchSampler
from aestyle.data.splits import FractionSplit
from aestyle.data.transforms import Preparation
from aestyle.data.writing import write_archive
from aestyle.errors import UserError
from tests.helpers import answer

from .lookalikes import encoded, nvidia_zip, rosinality_lmdb, write_idx, write_lmdb
from .pictures import random_picture, write_folder


def refusal(path: Path, index: int | None = None) -> str:
    def use() -> None:
        source = open_source(path)
        assert index is not None, "was opened"
        source.load(index)

    with pytest.raises(UserError) as error:
        use()
    message = str(error.value)
    assert "\n" not in message
    assert message.startswith(str(path))
    return message.removeprefix(str(path))


def a_zip(path: Path, n: int = 3) -> Path:
    return nvidia_zip(path / "a.zip", [encoded(random_picture(16, 16)) for _ in range(n)], None)


def cut(path: Path, share: float = 0.6) -> Path:
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    return path


def test_a_zip_that_is_cut_off(tmp_path: Path) -> None:
    assert "is not a whole zip file (" in refusal(cut(a_zip(tmp_path)))


def test_a_zip_with_a_damaged_entry(tmp_path: Path) -> None:
    path = a_zip(tmp_path)
    content = bytearray(path.read_bytes())
    content[content.find(b"IDAT") + 20] ^= 255
    path.write_bytes(bytes(content))
    assert refusal(path, 0).startswith("/00000/img00000000.png: cannot be unpacked (Bad CRC-32")


def test_a_zip_with_a_name_twice(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr("a/x.png", encoded(random_picture(4, 4)))
        with pytest.warns(UserWarning, match="Duplicate"):
            file.writestr("a/x.png", encoded(random_picture(4, 4)))
    assert "1 names occur twice, such as a/x.png" in refusal(tmp_path / "a.zip")


def test_a_zip_without_pictures_and_one_without_all_labels(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "none.zip", "w") as file:
        file.writestr("read.me", "text")
        file.writestr("__MACOSX/._x.png", "what a Mac leaves behind")
    assert "no pictures in it" in refusal(tmp_path / "none.zip")
    with zipfile.ZipFile(a_zip(tmp_path), "a") as file:
        file.writestr("z.png", encoded(random_picture(4, 4)))
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as file:
        file.writestr("a.png", b"")
        file.writestr("b.png", b"")
        file.writestr("dataset.json", '{"labels": [["a.png", 3]]}')
    assert refusal(tmp_path / "b.zip") == "/dataset.json: has no label for b.png; add it or set labels to null"


def test_a_missing_zip(tmp_path: Path) -> None:
    assert "no such file" in refusal(tmp_path / "a.zip")


def test_an_lmdb_that_is_no_lmdb_or_cut_off(tmp_path: Path) -> None:
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "data.mdb").write_bytes(np.random.default_rng().bytes(9000))
    assert "is not an LMDB that can be read (" in refusal(tmp_path / "bad")
    path = write_lmdb(tmp_path / "cut", {b"%05d" % i: encoded(random_picture(40, 40)) for i in range(9)})
    cut(path / "data.mdb")
    assert refusal(path) == "/data.mdb: is cut off; fetch or copy it anew"


def test_an_lmdb_with_less_than_its_length(tmp_path: Path) -> None:
    path = rosinality_lmdb(tmp_path / "set", {8: [encoded(random_picture(8, 8)) for _ in range(3)]})
    write_lmdb(path, {b"length": b"5"})
    assert refusal(path, 4) == ": has no picture 8-00004; make or fetch it anew"


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_an_idx_file_that_is_cut_off_or_something_else(tmp_path: Path, suffix: str) -> None:
    file = write_idx(tmp_path / f"a-images-idx3-ubyte{suffix}", np.random.default_rng().integers(0, 256, (5, 8, 8)))
    assert "cut" in refusal(cut(file)) or "cannot be read (" in refusal(file)
    file.write_bytes(b"no idx")
    assert "is not an idx file" in refusal(file)


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_arrays_that_are_cut_off_or_hold_something_else(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"a{suffix}"
    write: Callable[..., None] = np.save if suffix == ".npy" else np.savez
    write(file, np.zeros((3, 8, 8), np.uint8))
    assert len(open_source(file)) == 3
    assert "cannot be read (" in refusal(cut(file))
    write(file, np.zeros((3, 8, 8)))
    assert "holds float64 values of shape (3, 8, 8); save pictures as uint8" in refusal(file)
    write(file, np.array([{"a": 1}], dtype=object))
    assert "object" in refusal(file).lower()  # never unpickled


def test_a_file_of_no_known_kind(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("text")
    assert "is no folder, .zip, .npy" in refusal(tmp_path / "notes.txt")


def test_a_picture_of_20000_pixels_a_side(tmp_path: Path) -> None:
    Image.new("1", (20_000, 20_000)).save(tmp_path / "huge.png")
    assert refusal(tmp_path, 0) == "/huge.png: has more than 179 million pixels; scale it down, or remove this file"


def test_a_long_picture_is_fine(tmp_path: Path) -> None:
    random_picture(20_000, 3).save(tmp_path / "long.png")
    assert Preparation(8, 3)(open_source(tmp_path).load(0)).shape == (3, 8, 8)


def test_a_picture_of_one_pixel_becomes_its_colour(tmp_path: Path) -> None:
    picture = random_picture(1, 1)
    picture.save(tmp_path / "dot.png")
    expected = torch.tensor(picture.getpixel((0, 0)), dtype=torch.uint8).view(3, 1, 1).expand(3, 8, 8)
    assert torch.equal(Preparation(8, 3)(open_source(tmp_path).load(0)), expected)


def test_one_name_in_two_folders_is_two_pictures(tmp_path: Path) -> None:
    source = open_source(write_folder(tmp_path, ["a/x.png", "b/x.png"]))
    assert [source.key(index) for index in range(2)] == ["a/x.png", "b/x.png"]


def test_a_half_written_archive(tmp_path: Path) -> None:
    (tmp_path / "set.partial").mkdir()
    assert "is not a whole archive (" in refusal(tmp_path / "set.partial")


# -- the same through the commands -----------------------------------------------------------------------------------


def broken_jpeg(folder: Path) -> str:
    write_folder(folder, ["a.png", "b.jpg"], size=(40, 30))
    cut(folder / "b.jpg")
    return "{path}/b.jpg: cannot be decoded ("


def text_as_png(folder: Path) -> str:
    write_folder(folder, ["a.png"])
    (folder / "b.png").write_text("text")
    return "{path}/b.png: is not a picture that can be read; replace or remove this file"


def too_large(folder: Path) -> str:
    folder.mkdir()
    Image.new("1", (20_000, 9_000)).save(folder / "huge.png")
    return "{path}/huge.png: has more than 179 million pixels; scale it down"


def empty_folder(folder: Path) -> str:
    folder.mkdir()
    return "{path}: no pictures in it or below it; give a folder with"


def loop_of_links(folder: Path) -> str:
    folder.mkdir()
    (folder / "again").symlink_to(folder, target_is_directory=True)
    return "{path}: no pictures in it or below it"


def broken_zip(path: Path) -> str:
    a_zip(path.parent)
    cut(path.parent / "a.zip").rename(path)
    return "{path}: is not a whole zip file ("


def broken_lmdb(path: Path) -> str:
    write_lmdb(path, {b"%05d" % i: encoded(random_picture(40, 40)) for i in range(9)})
    cut(path / "data.mdb")
    return "{path}/data.mdb: is cut off; fetch or copy it anew"


def broken_idx(path: Path) -> str:
    cut(write_idx(path, np.zeros((5, 8, 8))))
    return "{path}: is cut off or has rubbish at its end; fetch it anew"


def half_written_archive(folder: Path) -> str:
    folder.mkdir()
    return "{path}: is not a whole archive ("


BAD = {
    "truncated JPEG": (broken_jpeg, "sët"),
    "text called png": (text_as_png, "sët"),
    "20,000 px": (too_large, "sët"),
    "empty folder": (empty_folder, "sët"),
    "loop of links": (loop_of_links, "sët"),
    "broken zip": (broken_zip, "sët.zip"),
    "broken LMDB": (broken_lmdb, "sët"),
    "broken idx": (broken_idx, "sët-images-idx3-ubyte"),
    "half-written archive": (half_written_archive, "sët.partial"),
}


@pytest.mark.parametrize("kind", BAD)
@pytest.mark.parametrize("command", ["prepare", "train"])
def test_a_command_ends_with_one_line_that_names_file_and_fix(
    command: str, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, name = BAD[kind]
    monkeypatch.chdir(tmp_path)
    says = make(Path(name).absolute()).format(path=name)
    options = ["workers=1"] if command == "prepare" else ["trainer=cpu", "debug=fast", "run_dir=run"]
    line = answer(command, "dataset=folder", f"dataset.path={name}", "scale=cpu", "resolution=8", *options).line
    assert says in line
    assert re.search(r"replace|remove|give|anew|again|scale", line.partition(name)[2])
    assert not list(tmp_path.rglob("archive.json"))


def test_a_broken_entry_is_named_where_pictures_share_a_file(tmp_path: Path) -> None:
    good, bad = encoded(random_picture(9, 9)), encoded(random_picture(90, 90), "JPEG")[:900]
    lmdb = rosinality_lmdb(tmp_path / "lmdb", {9: [good, bad]})
    assert refusal(lmdb, 1).startswith("/00001: cannot be decoded (")
    zip_file = nvidia_zip(tmp_path / "a.zip", [good, b"text"], None)
    assert refusal(zip_file, 1) == (
        "/00000/img00000001.png: is not a picture that can be read; replace or remove this file"
    )


@pytest.mark.parametrize("workers", [1, 3])
def test_skipping_leaves_the_same_pictures_for_every_rank_and_number_of_threads(workers: int, tmp_path: Path) -> None:
    """What is broken is settled once, in the archive; ranks only share what it holds."""
    write_folder(tmp_path / "set", [f"{n:02d}.png" for n in range(20)])
    broken = set(np.random.default_rng().choice(20, 6, replace=False).tolist())
    for n in broken:
        (tmp_path / "set" / f"{n:02d}.png").write_text("text")
    archive = write_archive(tmp_path / "a", open_source(tmp_path / "set"), Preparation(8, 3), "skip", workers)
    assert archive.record()["left_out"] == 6
    whole = [f"{n:02d}.png" for n in range(20) if n not in broken]
    assert [archive.key(index) for index in range(len(archive))] == whole
    seen = []
    for rank in range(2):
        data = ImageDataModule("a", Archive(tmp_path / "a"), FractionSplit(0, 0), 8, 3, batch_size=2, seed=0)
        assert data.images("train").keys == whole
        sampler = InfiniteBatchSampler(len(data.images("train")), 2, seed=0, rank=rank, world_size=2)
        seen += [index for batch in islice(sampler, 14) for _, index in batch]
    assert sorted(seen) == sorted(2 * list(range(14)))
