"""Published weights: found where they are said to be looked for, refused in one line otherwise."""

import hashlib
import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from aestyle.errors import UserError
from aestyle.metrics.backbones import ALEXNET, VGG16_CAFFE
from aestyle.metrics.weights import FOLDER_VARIABLE, Published, load_weights


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """The user's folder and torch hub's, both empty."""
    found = {"own": tmp_path / "own", "hub": tmp_path / "torch" / "hub" / "checkpoints"}
    for folder in found.values():
        folder.mkdir(parents=True)
    monkeypatch.setenv(FOLDER_VARIABLE, str(found["own"]))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    return found


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "made.pth"
    torch.save({"a": torch.randn(3)}, path)
    return path


@pytest.fixture
def published(file: Path) -> Published:
    prefix = hashlib.sha256(file.read_bytes()).hexdigest()[:8]
    names = (f"net-{prefix}.pth", f"other-name-{prefix}.pth")
    return Published("Net", "its project", names, twin="the twin", url="file:///nowhere/net.pth")


def one_line(error: pytest.ExceptionInfo[UserError]) -> str:
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("folder", ["own", "hub"])
@pytest.mark.parametrize("name", [0, 1])
def test_is_found_in_both_folders_by_every_name(folders, file, published, folder: str, name: int) -> None:
    (folders[folder] / published.files[name]).write_bytes(file.read_bytes())
    found = load_weights(published)
    assert found.path.parent == folders[folder]
    assert found.label == ""
    assert torch.equal(found.tensors["a"], torch.load(file)["a"])


def test_the_users_folder_comes_first(folders, file, published) -> None:
    for folder in folders.values():
        (folder / published.files[0]).write_bytes(file.read_bytes())
    assert load_weights(published).path.parent == folders["own"]


def test_other_weights_at_a_given_path_are_taken_and_labelled(file, published, tmp_path: Path) -> None:
    assert load_weights(published, str(file)).label == ""
    torch.save({"a": torch.randn(3)}, tmp_path / "own.pth")
    found = load_weights(published, str(tmp_path / "own.pth"))
    assert found.label == f", weights {found.sha256[:8]}"


def test_missing_weights_are_one_line_with_file_project_folder_and_twin(folders, published) -> None:
    with pytest.raises(UserError) as error:
        load_weights(published)
    line = one_line(error)
    for word in (published.files[0], "its project", str(folders["own"]), "weights=", "download=true", "the twin"):
        assert word in line
    with pytest.raises(UserError) as error:
        load_weights(VGG16_CAFFE, download=True)
    assert "download" not in one_line(error).replace("no download", "")  # nobody says where it could be fetched


def test_nothing_is_fetched_unless_asked_for(folders, published, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.hub, "download_url_to_file", lambda *args: pytest.fail("it downloads"))
    with pytest.raises(UserError):
        load_weights(published)


def test_a_download_is_checked_and_then_found(folders, file, published) -> None:
    there = replace(published, url=file.as_uri())
    assert load_weights(there, download=True).path == folders["hub"] / published.files[0]
    assert load_weights(published).path == folders["hub"] / published.files[0]


@pytest.mark.parametrize("problem", ["other hash", "no connection"])
def test_a_failed_download_leaves_nothing_and_is_one_line(folders, file, published, problem: str) -> None:
    there = replace(published, url=file.as_uri() if problem == "other hash" else published.url)
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(UserError, match="the download failed") as error:
        load_weights(there, download=True)
    assert "the twin" in one_line(error)
    assert not list(folders["hub"].iterdir())


def test_a_damaged_file_is_named(folders, file, published) -> None:
    (folders["hub"] / published.files[0]).write_bytes(file.read_bytes()[:-9])
    with pytest.raises(UserError, match=rf"{published.files[0]}: damaged.*delete it") as error:
        load_weights(published)
    one_line(error)


class Malicious:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch ran",)


@pytest.mark.parametrize("content", ["truncated", "malicious", "text", "a list", "a module"])
def test_no_file_of_weights_is_one_line_and_runs_nothing(file, published, content: str, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "bad.pth"
    if content == "truncated":
        path.write_bytes(file.read_bytes()[:200])
    elif content == "text":
        path.write_text("<html>not found</html>")
    else:
        bad = {"malicious": {"a": Malicious()}, "a list": [torch.ones(2)], "a module": nn.Linear(2, 2)}
        torch.save(bad[content], path)
    with pytest.raises(UserError, match=r"bad\.pth: ") as error:
        load_weights(published, str(path))
    one_line(error)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("path", ["nowhere.pth", "."])
def test_a_path_that_is_no_file_is_named(published, path: str) -> None:
    with pytest.raises(UserError, match=f"weights={path}: cannot be read") as error:
        load_weights(published, path)
    one_line(error)


def test_weights_of_another_network_are_refused(file) -> None:
    found = load_weights(ALEXNET, str(file))
    with pytest.raises(
        UserError, match=r"not the weights of AlexNet .*alexnet-owt-7be5be79\.pth of torchvision"
    ) as error:
        found.fill(nn.Linear(2, 2), found.tensors)
    one_line(error)
