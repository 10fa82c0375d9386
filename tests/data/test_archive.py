import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from PIL import Image

from aestyle.data import writing
from aestyle.data.archive import Archive, archive_name, find_archive
from aestyle.data.datamodule import ImageDataModule
from aestyle.data.opening import open_source
from aestyle.data.pictures import Pictures
from aestyle.data.sources import ImageFolder
from aestyle.data.splits import FractionSplit
from aestyle.data.transforms import Preparation
from aestyle.data.writing import broken_pictures, write_archive
from aestyle.errors import UserError
from tests.helpers import ROOT, contents

from .pictures import Listed, write_folder

PREPARATION = Preparation(8, 3)


def grouped(n: int) -> Listed:
    source = Listed([f"{index:03d}.png" for index in range(n)], [index % 3 for index in range(n)])
    source.group = lambda index: f"group {index // 4}"  # type: ignore[method-assign]
    return source


def test_names_labels_groups_and_splits_are_those_of_the_source(tmp_path: Path) -> None:
    source = grouped(40)
    archive = write_archive(tmp_path / "a", source, PREPARATION, workers=3)
    again = open_source(tmp_path / "a")
    assert [again.key(i) for i in range(40)] == [source.key(i) for i in range(40)]
    assert [again.group(i) for i in range(40)] == [source.group(i) for i in range(40)]
    assert again.labels == source.labels
    split = FractionSplit(0.2, 0.2)
    assert split(archive) == split(source)
    assert {path.name for path in (tmp_path / "a").iterdir()} == {"archive.json", "images.uint8"}


def test_how_it_was_made_is_recorded(tmp_path: Path) -> None:
    made = [
        write_archive(tmp_path / name, Listed([f"{i}.png" for i in range(5)]), Preparation(8, 3, "stretch", filter))
        for name, filter in (("a", "box"), ("b", "lanczos"))
    ]
    first, second = (archive.record() for archive in made)
    assert first["crop"] == "stretch"
    assert (first["filter"], second["filter"]) == ("box", "lanczos")
    assert first["source_sha256"] == second["source_sha256"]
    assert first["images_sha256"] != second["images_sha256"]
    assert (first["pictures"], first["left_out"]) == (5, 0)


def test_the_source_s_hash_follows_the_content_not_the_file_s_date(tmp_path: Path) -> None:
    hashes = []
    for name in ("a", "b"):
        folder = write_folder(tmp_path / name, ["x.png", "y.png"])
        hashes.append(write_archive(tmp_path / f"{name}-archive", ImageFolder(folder), PREPARATION))
    assert hashes[0].record()["source_sha256"] == hashes[1].record()["source_sha256"]
    assert ImageFolder(tmp_path / "a").fingerprint() != ImageFolder(tmp_path / "b").fingerprint()


def test_a_second_call_does_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = grouped(6)
    write_archive(tmp_path / "a", source, PREPARATION)
    before = contents(tmp_path)
    monkeypatch.setattr(writing, "in_order", lambda *_: pytest.fail("worked again"))
    write_archive(tmp_path / "a", source, PREPARATION)
    assert contents(tmp_path) == before


class Killed(BaseException):
    """Ends the work at once, as a signal does."""


@pytest.mark.parametrize("damage", ["none", "half a picture", "half a line", "zeros", "no pixels"])
def test_what_was_killed_goes_on_and_never_looks_complete(
    damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, done = grouped(30), random.randint(3, 25)
    whole = contents(write_and_get(tmp_path / "whole", source))
    real = writing.in_order
    decoded: list[int] = []

    def stopping(function, numbers, workers=None) -> Iterator:  # type: ignore[no-untyped-def]
        for count, result in enumerate(real(function, numbers, workers)):
            if count == done:
                raise Killed
            yield result

    with monkeypatch.context() as patch:
        patch.setattr(writing, "in_order", stopping)
        with pytest.raises(Killed):
            write_archive(tmp_path / "a", source, PREPARATION)
    partial = tmp_path / "a.partial"
    assert not (tmp_path / "a").exists()
    with pytest.raises(UserError, match=r"is not a whole archive .*; delete it and prepare it again"):
        open_source(partial)
    images, journal = partial / "images.uint8", partial / "journal.jsonl"
    if damage == "half a picture":
        images.write_bytes(images.read_bytes()[:-50])
    elif damage == "half a line":
        journal.write_bytes(journal.read_bytes()[:-7])
    elif damage == "zeros":  # what a crash of the machine may leave
        images.write_bytes(images.read_bytes()[:-192] + bytes(192))
    elif damage == "no pixels":
        images.unlink()
    load = source.load
    source.load = lambda index: decoded.append(index) or load(index)  # type: ignore[method-assign]
    write_archive(tmp_path / "a", source, PREPARATION, workers=1)
    assert contents(tmp_path / "a") == whole
    assert not partial.exists()
    kept = {"none": done, "no pixels": 0}.get(damage, done - 1)
    assert set(decoded) == set(range(kept, 30))


def write_and_get(path: Path, source: Listed) -> Path:
    write_archive(path, source, PREPARATION)
    return path


def test_the_rest_of_other_work_is_not_used(tmp_path: Path) -> None:
    partial = tmp_path / "a.partial"
    partial.mkdir()
    (partial / "journal.jsonl").write_text('{"fingerprint": "other"}\n["00", 1, ""]\n')
    (partial / "images.uint8").write_bytes(bytes(192))
    source = grouped(3)
    archive = write_archive(tmp_path / "a", source, PREPARATION)
    assert torch.equal(archive.batch([0, 1, 2]), Pictures(source, PREPARATION).batch([0, 1, 2]))


def broken_folder(path: Path) -> ImageFolder:
    write_folder(path, [f"{n}.png" for n in range(8)])
    (path / "2.png").write_text("text")
    (path / "5.png").write_bytes((path / "5.png").read_bytes()[:60])
    return ImageFolder(path)


def test_strict_names_the_first_broken_picture(tmp_path: Path) -> None:
    source = broken_folder(tmp_path / "set")
    with pytest.raises(UserError) as error:
        write_archive(tmp_path / "a", source, PREPARATION)
    assert str(error.value).startswith(f"{tmp_path}/set/2.png: is not a picture that can be read; replace or remove")
    assert "broken=skip leaves them out" in str(error.value)
    assert not (tmp_path / "a").exists()


def test_skip_leaves_broken_pictures_out_and_counts_them(tmp_path: Path) -> None:
    source = broken_folder(tmp_path / "set")
    archive = write_archive(tmp_path / "a", source, PREPARATION, "skip")
    assert [archive.key(index) for index in range(len(archive))] == [f"{n}.png" for n in (0, 1, 3, 4, 6, 7)]
    assert archive.record()["left_out"] == 2
    assert set(archive.header["skipped"]) == {"2.png", "5.png"}
    assert torch.equal(archive.batch([2])[0], PREPARATION(source.load(3)))
    with pytest.raises(UserError, match=r"set/2\.png: .*broken=skip"):
        write_archive(tmp_path / "a", source, PREPARATION, "strict")


def test_check_lists_every_broken_picture_with_its_reason(tmp_path: Path) -> None:
    lines = list(broken_pictures(broken_folder(tmp_path / "set"), PREPARATION))
    assert [line.split(": ")[0] for line in lines] == [f"{tmp_path}/set/{n}.png" for n in (2, 5)]
    assert list(broken_pictures(grouped(3), Preparation(8, 3, "none"))) == [
        f"listed/{n:03d}.png: is 11x9, not 8x8; use crop=center or crop=stretch, or resize the file" for n in range(3)
    ]


def test_nothing_usable_is_refused(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "a.png").write_text("text")
    with pytest.raises(UserError, match="none of its 1 pictures can be used; check=true lists the reasons"):
        write_archive(tmp_path / "a", ImageFolder(tmp_path / "set"), PREPARATION, "skip")


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (Preparation(16, 3), "prepared with resolution=8, not 16; give resolution=8, or prepare"),
        (Preparation(8, 1), "prepared with channels=3, not 1; give dataset.channels=3"),
        (Preparation(8, 3, "stretch"), "prepared with crop=center, not stretch; give dataset.crop=center"),
        (Preparation(8, 3, filter="box"), "prepared with filter=lanczos, not box"),
    ],
)
def test_an_archive_is_never_resized_again(asked: Preparation, says: str, tmp_path: Path) -> None:
    archive = write_archive(tmp_path / "a", grouped(3), PREPARATION)
    with pytest.raises(UserError, match=says):
        Pictures(archive, asked)
    with pytest.raises(UserError, match=says):
        write_archive(tmp_path / "b", archive, asked)


def test_other_things_are_not_overwritten(tmp_path: Path) -> None:
    write_folder(tmp_path / "pictures", ["a.png"])
    with pytest.raises(UserError, match="pictures exists already and is no archive; choose another folder"):
        write_archive(tmp_path / "pictures", grouped(3), PREPARATION)
    write_archive(tmp_path / "a", grouped(3), PREPARATION)
    for source, preparation in ((grouped(4), PREPARATION), (grouped(3), Preparation(16, 3))):
        with pytest.raises(UserError, match="holds an archive of other pictures or options; choose another folder"):
            write_archive(tmp_path / "a", source, preparation)


@pytest.mark.parametrize("damage", ["cut off", "no header", "half a header"])
def test_a_damaged_archive_is_named(damage: str, tmp_path: Path) -> None:
    write_archive(tmp_path / "a", grouped(3), PREPARATION)
    images, header = tmp_path / "a" / "images.uint8", tmp_path / "a" / "archive.json"
    if damage == "cut off":
        images.write_bytes(images.read_bytes()[:-1])
    elif damage == "no header":
        header.unlink()
    else:
        header.write_text(header.read_text()[:90])
    with pytest.raises(UserError, match=r"delete (it )?and prepare") as error:
        Archive(tmp_path / "a")
    assert "\n" not in str(error.value)


def test_a_disk_that_is_too_small_is_refused_before_the_work(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"the archive needs 52776.56 GB and .* are free"):
        write_archive(tmp_path / "a", grouped(3), Preparation(2**22, 1))
    assert not (tmp_path / "a").exists()


def test_a_disk_that_fills_up_on_the_way_leaves_work_that_goes_on(tmp_path: Path) -> None:
    write_folder(tmp_path / "set", [f"{n}.png" for n in range(20)])
    code = """if True:
        import resource, sys
        from pathlib import Path
        from aestyle.data.sources import ImageFolder
        from aestyle.data.transforms import Preparation
        from aestyle.data.writing import write_archive
        from aestyle.errors import UserError
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
        try:
            write_archive(Path("a"), ImageFolder("set"), Preparation(8, 3))
        except UserError as error:
            print(error)
    """
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout == (
        "a.partial: cannot be written (File too large); free space, and the same command goes on from there\n"
    )
    assert not (tmp_path / "a").exists()
    source = ImageFolder(tmp_path / "set")
    archive = write_archive(tmp_path / "a", source, PREPARATION)
    assert torch.equal(archive.batch(range(20)), Pictures(source, PREPARATION).batch(range(20)))


def test_training_finds_the_archive_of_its_pictures(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "set", [f"{n}.png" for n in range(9)])

    def data(**options: object) -> ImageDataModule:
        given = {"resolution": 8, "channels": 3, "batch_size": 4, "seed": 0, "prepared": str(tmp_path / "prepared")}
        module = ImageDataModule("set", ImageFolder(folder), FractionSplit(0.2, 0.2), **(given | options))  # type: ignore[arg-type]
        module.setup()
        return module

    source = ImageFolder(folder)
    plain = data()
    assert isinstance(plain.source, ImageFolder)
    write_archive(tmp_path / "prepared" / archive_name("set", source, PREPARATION), source, PREPARATION)
    found = data()
    assert isinstance(found.source, Archive)
    assert found.record()["images_sha256"] == found.source.header["images_sha256"]
    for split in ("train", "val", "test"):
        assert found.images(split).keys == plain.images(split).keys
        everything = range(len(plain.images(split)))
        assert torch.equal(found.images(split).batch(everything), plain.images(split).batch(everything))
    for other in ({"resolution": 16}, {"filter": "box"}, {"channels": 1}, {"prepared": None}):
        assert isinstance(data(**other).source, ImageFolder)
    assert find_archive(tmp_path / "prepared", "other", source, PREPARATION) is None
    Image.new("RGB", (9, 9), "red").save(folder / "new.png")
    assert len(data().source) == 10  # not what was prepared


@pytest.mark.slow
def test_a_killed_process_goes_on(tmp_path: Path) -> None:
    write_folder(tmp_path / "set", [f"{n:04d}.png" for n in range(3000)], size=(64, 64))
    code = """if True:
        from pathlib import Path
        from aestyle.data.sources import ImageFolder
        from aestyle.data.transforms import Preparation
        from aestyle.data.writing import write_archive
        write_archive(Path("a"), ImageFolder("set"), Preparation(8, 3), workers=1)
    """
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL)
    images = tmp_path / "a.partial" / "images.uint8"
    while process.poll() is None and not (images.exists() and images.stat().st_size > 192 * 20):
        pass
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "a").exists()
    assert 20 < images.stat().st_size // 192 < 3000
    source = ImageFolder(tmp_path / "set")
    archive = write_archive(tmp_path / "a", source, PREPARATION)
    assert torch.equal(archive.batch(range(3000)), Pictures(source, PREPARATION).cache())
    assert json.loads((tmp_path / "a" / "archive.json").read_text())["skipped"] == {}
