"""Every kind of broken input is answered with one line that names it."""

import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from aestyle.data.opening import open_source
from aestyle.data.transforms import Preparation
from aestyle.errors import UserError

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
