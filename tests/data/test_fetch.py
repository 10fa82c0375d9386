"""Fetching, with look-alikes of the registries' clients: nothing is downloaded here."""

import io
import shutil
import stat
import subprocess
import sys
import tarfile
import zipfile
from hashlib import sha256
from pathlib import Path

import pytest

from aestyle.data import fetch
from aestyle.data.fetch import Package, Torchvision
from aestyle.errors import UserError


def tarball(file: Path, name: str = "package/a.txt") -> Path:
    with tarfile.open(file, "w:gz") as tar:
        entry = tarfile.TarInfo(name)
        entry.size = 5
        tar.addfile(entry, io.BytesIO(b"hello"))
    return file


def wheel(file: Path) -> Path:
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("package/a.txt", "hello")
    return file


def deb(file: Path) -> Path:
    root = file.parent / "deb"
    (root / "DEBIAN").mkdir(parents=True)
    (root / "DEBIAN" / "control").write_text(
        "Package: a\nVersion: 1.0\nArchitecture: all\nMaintainer: a <a@b.c>\nDescription: a\n"
    )
    (root / "package").mkdir()
    (root / "package" / "a.txt").write_text("hello")
    subprocess.run(["dpkg-deb", "--build", str(root), str(file)], check=True, capture_output=True)
    return file


def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, script: str) -> Path:
    """Puts a program of this name first on the PATH; it writes its arguments to a log."""
    program = tmp_path / "bin" / name
    program.parent.mkdir(exist_ok=True)
    program.write_text(f'#!/bin/sh\necho "$@" >> "{tmp_path}/log"\n{script}\n')
    program.chmod(program.stat().st_mode | stat.S_IEXEC)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    if name == "pip":
        monkeypatch.setattr(sys, "executable", str(program))
    return tmp_path / "log"


def package(name: str, file: Path, digest: str | None = None) -> Package:
    return Package(name, "a", "1.0", file.name, digest or sha256(file.read_bytes()).hexdigest(), 1.5)


KINDS = [
    ("npm", "a-1.0.tgz", tarball, "pack --silent a@1.0"),
    ("apt-get", "a_1.0_all.deb", deb, "download a=1.0"),
    ("pip", "a-1.0-py3-none-any.whl", wheel, "-m pip download --quiet --no-deps a==1.0"),
]


@pytest.mark.parametrize(("name", "file", "make", "arguments"), KINDS)
def test_a_package_is_announced_fetched_checked_and_unpacked_once(
    name: str, file: str, make, arguments: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if name == "apt-get" and shutil.which("dpkg-deb") is None:
        pytest.skip("no dpkg-deb here")
    original = make(tmp_path / file)
    log = client(tmp_path, monkeypatch, name, f'cp "{original}" .')
    said: list[str] = []
    get, folder = package(name, original), tmp_path / "data"
    get(folder, said.append)
    assert said == [f"fetching a 1.0 with {name} (1.5 MB) into {folder}"]
    assert log.read_text() == f"{arguments}\n"
    assert (folder / Path(file).stem / "package" / "a.txt").read_text() == "hello"
    assert {path.name for path in folder.iterdir()} == {file, Path(file).stem}  # nothing half done is left
    get(folder, said.append)
    assert len(said) == 1
    assert log.read_text() == f"{arguments}\n"


def test_a_file_that_the_user_put_there_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data").mkdir()
    original = tarball(tmp_path / "data" / "a-1.0.tgz")
    log = client(tmp_path, monkeypatch, "npm", "exit 1")
    package("npm", original)(tmp_path / "data", lambda text: pytest.fail(text))
    assert not log.exists()
    assert (tmp_path / "data" / "a-1.0" / "package" / "a.txt").exists()


def refusal(get: Package, folder: Path) -> str:
    with pytest.raises(UserError) as error:
        get(folder, lambda _: None)
    assert "\n" not in str(error.value)
    assert not (folder / "a-1.0").exists()
    assert not list(folder.glob(".fetching-*"))
    return str(error.value)


def test_another_content_than_the_recorded_one_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = tarball(tmp_path / "a-1.0.tgz")
    client(tmp_path, monkeypatch, "npm", f'cp "{original}" .')
    message = refusal(package("npm", original, "0" * 64), tmp_path / "data")
    assert "a-1.0.tgz: its SHA-256 is " in message
    assert "not 0000000000000000...: damaged, or another version; delete it" in message
    assert not (tmp_path / "data" / "a-1.0.tgz").exists()


def test_a_client_that_fails_or_is_not_there_says_what_else_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = tarball(tmp_path / "a-1.0.tgz")
    folder = tmp_path / "data"
    client(tmp_path, monkeypatch, "npm", 'echo "npm error network" >&2; exit 1')
    otherwise = f"get a-1.0.tgz elsewhere, put it into {folder} and start again"
    assert refusal(package("npm", original), folder) == (
        f"a: npm pack --silent a@1.0 failed (npm error network), or {otherwise}"
    )
    monkeypatch.setattr(fetch.shutil, "which", lambda _: None)
    assert refusal(package("npm", original), folder) == f"a: npm is not on this machine; install it, or {otherwise}"


def test_a_package_cannot_write_outside_its_folder(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    original = tarball(tmp_path / "data" / "a-1.0.tgz", "../../../outside.txt")
    assert "cannot be unpacked (" in refusal(package("npm", original), tmp_path / "data")
    assert not (tmp_path / "outside.txt").exists()


def test_an_unknown_client_is_refused() -> None:
    with pytest.raises(UserError, match="client=cargo; choose one of npm, apt-get, pip"):
        Package("cargo", "a", "1", "a.tgz", "", 1)


def test_torchvision_without_internet_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision import datasets

    def offline(root: str, download: bool, split: str) -> None:
        assert (root, download, split) == (str(tmp_path), True, "balanced")
        raise RuntimeError("Error downloading x:\nname not known")

    monkeypatch.setattr(datasets, "EMNIST", offline)
    with pytest.raises(UserError, match=r"^EMNIST: torchvision cannot download it \(Error downloading x: name not"):
        Torchvision("EMNIST", 562, {"split": "balanced"})(tmp_path, lambda _: None)
