"""Checkpoints: whole at every moment, plain data only, and clear words for what cannot be read."""

import errno
import os
import pickle
import random
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

import aestyle
from aestyle.engine.checkpoint import LAST, PREVIOUS, SafeCheckpointIO, latest_checkpoint, read_checkpoint
from aestyle.errors import UserError
from tests.helpers import FAST, ROOT, answer, contents

RUN = (*FAST, "method=stylegan2", "kimg=0.004")


def state(number: int = 0, size: int = 1000) -> dict[str, Any]:
    return {"aestyle": {"images_seen": number, "schema": 1, "method": "toy"}, "weights": torch.full((size,), number)}


def save(folder: Path, number: int) -> Path:
    path = folder / "checkpoints" / LAST
    SafeCheckpointIO().save_checkpoint(state(number), path)
    return path


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    assert answer("train", *RUN, f"run_dir={folder}").code == 0
    return folder


# -- saving ----------------------------------------------------------------------------------------------------------


def test_what_is_saved_comes_back_and_the_one_before_is_kept(tmp_path: Path) -> None:
    for number in range(1, 4):
        path = save(tmp_path, number)
        assert torch.equal(read_checkpoint(path)["weights"], state(number)["weights"])
    assert read_checkpoint(path.with_name(PREVIOUS))["aestyle"]["images_seen"] == 2
    assert sorted(contents(path.parent)) == [LAST, PREVIOUS]


@pytest.mark.parametrize("links", [True, False])
def test_as_many_as_asked_for_are_kept(links: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where a file cannot have two names, and where ``keep`` changes between two starts."""

    def refuse(self: Path, target: Path) -> None:
        raise OSError(errno.EPERM, "no links here")

    if not links:
        monkeypatch.setattr(Path, "hardlink_to", refuse)
    path = tmp_path / "checkpoints" / LAST
    names = [LAST, PREVIOUS, "previous-2.ckpt", "previous-3.ckpt"]
    own = path.with_name("previous_good.ckpt")  # a copy by the user's own hand
    own.parent.mkdir()
    own.touch()
    available = 0
    for number in range(20):
        keep = random.randint(1, 4) if number > 5 else 3
        SafeCheckpointIO(keep).save_checkpoint(state(number), path)
        left = contents(path.parent).keys() - {own.name}
        found = {name: read_checkpoint(path.with_name(name))["weights"][0] for name in left}
        available = min(keep, available + 1)
        assert found == {name: number - age for age, name in enumerate(names[:available])}
    assert latest_checkpoint(tmp_path) == path
    assert own.exists()


def test_an_older_one_is_taken_where_the_newer_are_broken(tmp_path: Path) -> None:
    path = tmp_path / "checkpoints" / LAST
    for number in range(4):
        SafeCheckpointIO(4).save_checkpoint(state(number), path)
    for name in (LAST, PREVIOUS):
        path.with_name(name).write_bytes(b"")
    found = latest_checkpoint(tmp_path)
    assert found is not None
    assert read_checkpoint(found)["aestyle"]["images_seen"] == 1


@pytest.mark.parametrize(
    "stranger", [np.float64(1.5), np.zeros(2), Path("x"), lambda: 0], ids=["scalar", "array", "path", "function"]
)
def test_what_could_not_be_loaded_is_not_saved(stranger: object, tmp_path: Path) -> None:
    path = save(tmp_path, 1)
    with pytest.raises(TypeError, match=r"last\.ckpt: not saved, the checkpoint holds more than plain data \(.+\)"):
        SafeCheckpointIO().save_checkpoint({**state(2), "stranger": stranger}, path)
    assert read_checkpoint(path)["aestyle"]["images_seen"] == 1
    assert sorted(contents(path.parent)) == [LAST]


@pytest.mark.parametrize("call", ["write", "fsync", "replace"])
def test_a_disk_that_fails_at_any_step_leaves_the_last_good_checkpoint(
    call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save(tmp_path, 1)

    def full(*args: object, **kwargs: object) -> None:
        if call == "write":
            args[1].write(b"half of it")  # type: ignore[attr-defined]
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(torch if call == "write" else os, "save" if call == "write" else call, full)
    with pytest.raises(UserError, match=r"last\.ckpt: .*No space left on device.*free space"):
        SafeCheckpointIO().save_checkpoint(state(2), path)
    monkeypatch.undo()
    assert read_checkpoint(latest_checkpoint(tmp_path) or path)["aestyle"]["images_seen"] == 1
    assert not [name for name in contents(tmp_path) if name.endswith(".tmp")]


def test_a_full_disk_ends_the_training_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = tmp_path / "run"
    assert answer("train", *RUN, f"run_dir={run}").code == 0
    before = contents(run / "checkpoints")
    written = torch.save

    def full(checkpoint: object, file: Any) -> None:
        written({"half": 1}, file)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    line = answer("train", *RUN, "kimg=0.008", f"run_dir={run}").line
    assert f"{run}/checkpoints/last.ckpt" in line
    assert "No space left on device" in line
    monkeypatch.undo()
    assert contents(run / "checkpoints") == before
    assert "going on from" in answer("train", *RUN, "kimg=0.008", f"run_dir={run}").out


def test_a_folder_that_takes_no_files_is_named() -> None:
    line = answer("train", *RUN, "run_dir=/sys/aestyle").line  # not even root writes there
    assert line.startswith("aestyle: /sys/aestyle: ")
    assert line.endswith("choose another folder\n")


def run_child(code: str, *args: str | Path) -> subprocess.Popen[str]:
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    argv = [sys.executable, "-c", textwrap.dedent(code), *map(str, args)]
    return subprocess.Popen(argv, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@pytest.mark.slow
def test_a_really_full_disk_and_kills_leave_a_whole_checkpoint(tmp_path: Path) -> None:
    """One process that meets a file-size limit, is killed in the middle of a save, and one killed wherever it is."""
    path = save(tmp_path, 1)
    child = run_child(
        """
        import os, resource, signal, sys, time
        import torch
        from aestyle.engine import checkpoint
        from aestyle.errors import UserError

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
        try:
            checkpoint.SafeCheckpointIO().save_checkpoint({"aestyle": {}, "x": torch.rand(1_000_000)}, sys.argv[1])
        except UserError as error:
            print(error, flush=True)
            print(os.listdir(os.path.dirname(sys.argv[1])), flush=True)

        def slowly(value, file):
            file.write(b"PK" + bytes(100_000))
            file.flush()
            print("half way", flush=True)
            time.sleep(60)

        checkpoint.torch.save = slowly
        checkpoint.SafeCheckpointIO().save_checkpoint({"aestyle": {}}, sys.argv[1])
        """,
        path,
    )
    assert child.stdout is not None
    said = child.stdout.readline()
    assert "last.ckpt: the checkpoint could not be saved" in said, said
    assert child.stdout.readline() == f"{[LAST]}\n"
    assert child.stdout.readline() == "half way\n"
    child.kill()
    child.wait(timeout=30)
    assert latest_checkpoint(tmp_path) == path
    assert read_checkpoint(path)["aestyle"]["images_seen"] == 1
    assert len(contents(path.parent)) == 2
    save(tmp_path, 1)
    assert sorted(contents(path.parent)) == [LAST, PREVIOUS]  # what the killed save left behind is gone

    child = run_child(
        """
        import sys
        import torch
        from aestyle.engine.checkpoint import SafeCheckpointIO
        for number in range(10**6):
            value = {"aestyle": {"images_seen": number}, "weights": torch.full((200_000,), number)}
            SafeCheckpointIO().save_checkpoint(value, sys.argv[1])
            print(number, flush=True)
        """,
        path,
    )
    assert child.stdout is not None
    numbers = [int(child.stdout.readline()) for _ in range(3)]
    time.sleep(random.uniform(0, 0.3))
    child.kill()
    numbers += [int(line) for line in child.stdout.read().split()]
    child.wait(timeout=30)
    checkpoint = read_checkpoint(latest_checkpoint(tmp_path) or path)
    assert checkpoint["aestyle"]["images_seen"] in (numbers[-1], numbers[-1] + 1)
    assert (checkpoint["weights"] == checkpoint["aestyle"]["images_seen"]).all()


# -- reading what is broken or foreign -------------------------------------------------------------------------------


def damage(path: Path, kind: str) -> None:
    whole = path.read_bytes()
    if kind == "truncated":
        path.write_bytes(whole[: random.randrange(1, len(whole))])
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "text":
        path.write_text("these are no weights\n" * random.randrange(1, 50))
    elif kind == "noise":
        path.write_bytes(random.randbytes(5000))
    elif kind == "pickle":
        path.write_bytes(pickle.dumps({"state_dict": [1.0]}))
    elif kind == "other program":
        torch.save({"g_ema": {"w": torch.zeros(2)}}, path)
    elif kind == "tensor":
        torch.save(torch.zeros(3), path)


KINDS = ["truncated"] * 4 + ["empty", "text", "noise", "pickle", "other program", "tensor"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mmap", [True, False])
def test_a_broken_checkpoint_is_named_in_one_line(kind: str, mmap: bool, tmp_path: Path) -> None:
    path = save(tmp_path, 1)
    damage(path, kind)
    with pytest.raises(UserError, match=r"last\.ckpt: (truncated or damaged|not a) checkpoint") as error:
        read_checkpoint(path, mmap=mmap)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("kind", KINDS[3:])
def test_a_broken_last_checkpoint_falls_back_to_the_one_before(kind: str, tmp_path: Path) -> None:
    save(tmp_path, 1)
    path = save(tmp_path, 2)
    damage(path, kind)
    found = latest_checkpoint(tmp_path)
    assert found == path.with_name(PREVIOUS)
    assert read_checkpoint(found)["aestyle"]["images_seen"] == 1
    damage(found, kind)
    with pytest.raises(UserError, match=r"last\.ckpt"):
        latest_checkpoint(tmp_path)


def test_a_folder_without_checkpoints_has_none(tmp_path: Path) -> None:
    assert latest_checkpoint(tmp_path) is None


class Evil:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("plain", [True, False])
def test_a_checkpoint_that_would_run_code_is_refused_and_runs_none(plain: bool, tmp_path: Path) -> None:
    path, planted = tmp_path / "evil.ckpt", tmp_path / "planted"
    value = {"aestyle": {"images_seen": 0}, "x": Evil(planted)}
    if plain:
        path.write_bytes(pickle.dumps(value))
    else:
        torch.save(value, path)
    with pytest.raises(UserError, match=r"evil\.ckpt: not a checkpoint of aestyle"):
        aestyle.load(path)
    assert not planted.exists()


@pytest.mark.parametrize("kind", KINDS[3:])
@pytest.mark.parametrize("command", ["sample", "train"])
def test_the_commands_say_it_too(command: str, kind: str, trained: Path, tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    path = tmp_path / "checkpoints" / LAST
    path.write_bytes((trained / "checkpoints" / LAST).read_bytes())
    damage(path, kind)
    args = (f"ckpt={path}", f"output={tmp_path / 'out'}") if command == "sample" else (*RUN, f"run_dir={tmp_path}")
    assert str(path) in answer(command, *args).line


def rewrite(path: Path, target: Path, **changes: Any) -> Path:
    checkpoint = torch.load(path, weights_only=True)
    checkpoint["aestyle"] |= changes
    target.parent.mkdir(parents=True, exist_ok=True)
    torch.save(checkpoint, target)
    return target


@pytest.mark.parametrize("where", ["method", "method.synthesis", "data.source"])
def test_a_configuration_that_names_foreign_code_is_refused(where: str, trained: Path, tmp_path: Path) -> None:
    ckpt = trained / "checkpoints" / LAST
    config = yaml.safe_load(torch.load(ckpt, weights_only=True)["aestyle"]["config"])
    node = config
    for key in where.split("."):
        node = node[key]
    node.update({"_target_": "os.mkdir", "path": str(tmp_path / "planted")})
    bad = rewrite(ckpt, tmp_path / "bad.ckpt", config=yaml.safe_dump(config))
    with pytest.raises(UserError, match=r"bad\.ckpt: refused, its configuration names os\.mkdir"):
        aestyle.load(bad)
    assert not (tmp_path / "planted").exists()


@pytest.mark.parametrize(
    "changes", [{"config": ""}, {"config": "[1, 2"}, {"config": "just words"}, {"config": "method: {name: x}"}]
)
def test_a_checkpoint_without_a_usable_configuration_is_refused(
    changes: dict[str, str], trained: Path, tmp_path: Path
) -> None:
    bad = rewrite(trained / "checkpoints" / LAST, tmp_path / "bad.ckpt", **changes)
    with pytest.raises(UserError, match=r"bad\.ckpt"):
        aestyle.load(bad)


def test_a_checkpoint_of_another_method_in_the_run_folder_is_refused(trained: Path, tmp_path: Path) -> None:
    """The folder has no config.yaml that would say so first."""
    rewrite(trained / "checkpoints" / LAST, tmp_path / "checkpoints" / LAST)
    line = answer("train", *RUN, "method=joint_ae", "kimg=0.1", f"run_dir={tmp_path}").line
    assert "stylegan2" in line
    assert "joint_ae" in line


def test_a_checkpoint_of_a_newer_version_is_refused(trained: Path, tmp_path: Path) -> None:
    newer = rewrite(trained / "checkpoints" / LAST, tmp_path / "newer.ckpt", schema=99)
    with pytest.raises(UserError, match="schema 99"):
        aestyle.load(newer)
