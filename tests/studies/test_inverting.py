"""``python -m aestyle.invert``: from folders of pictures to codes, curves and contact sheets."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from base64 import b64decode
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

import aestyle
from aestyle.errors import UserError
from aestyle.latents.codes import read_codes
from aestyle.latents.inversion import Schedule, Weighted, squared_error
from aestyle.studies import inverting
from aestyle.studies.inverting import Inversion, Targets
from aestyle.studies.loading import RunInfo
from aestyle.studies.pictures import to_pil
from aestyle.studies.sheets import Cell, Sheet
from tests.helpers import FAST, ROOT, Answer, answer, contents, write_pictures
from tests.latents.conftest import build
from tests.tiny import REPRESENTATIVE

MSE = {"mse": Weighted(squared_error)}


def targets(model: Any, count: int, folder: Path) -> Targets:
    """Random pictures for a model that was never saved."""
    file = folder / "model.ckpt"
    file.write_bytes(b"stands for the checkpoint")
    images = torch.rand(count, model.channels, model.resolution, model.resolution, dtype=model.dtype) * 2 - 1
    return Targets(model, RunInfo(folder, file, 0.0), [f"{i}" for i in range(count)], images)


@pytest.mark.slow
@pytest.mark.parametrize("method", REPRESENTATIVE)
def test_every_space_of_every_method(method: str, tmp_path: Path) -> None:
    model: Any = build(f"method={method}")
    wanted = targets(model, 2, tmp_path)
    for space in model.spaces:
        Inversion(MSE, space, schedule=Schedule(steps=2), told={})(wanted, tmp_path / space)
        found = read_codes(tmp_path / space / "codes.safetensors", model)
        assert (found.space, found.names, found.method) == (space, ["0", "1"], method)
        assert found.codes.isfinite().all()
        rec = model.decode(found.codes, space)
        assert found.codes.dtype == model.dtype
        for name, image in zip(found.names, rec, strict=True):
            written = Image.open(tmp_path / space / "reconstructions" / f"{name}.png")
            assert written.tobytes() == to_pil(image).tobytes()
    with pytest.raises(UserError, match="space=none_such: this model has the spaces"):
        Inversion(MSE, "none_such")(wanted, tmp_path / "none")
    assert not (tmp_path / "none").exists()


@pytest.fixture(scope="module")
def overparam() -> Any:
    return build("method=overparam")


def test_batches_change_nothing(overparam: Any, tmp_path: Path) -> None:
    wanted, schedule = targets(overparam, 3, tmp_path), Schedule(steps=3, noise=0.1)
    codes = {}
    for size in (1, 2, 3):
        inversion = Inversion(MSE, "matrix", "random", schedule, seed=4, batch_size=size, told={})
        inversion(wanted, tmp_path / str(size))
        codes[size] = read_codes(tmp_path / str(size) / "codes.safetensors").codes
    torch.testing.assert_close(codes[1], codes[2], rtol=1e-6, atol=1e-8)
    torch.testing.assert_close(codes[1], codes[3], rtol=1e-6, atol=1e-8)


def test_an_interrupted_inversion_ends_with_the_same_codes(
    overparam: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted, done = targets(overparam, 5, tmp_path), []
    invert, stop_at = inverting.invert_pictures, random.randrange(1, 3)

    def watched(model: Any, images: Tensor, *args: Any) -> Any:
        if len(done) == stop_at:
            raise KeyboardInterrupt
        done.append(len(images))
        return invert(model, images, *args)

    def inversion(told: dict[str, Any]) -> Inversion:
        return Inversion(MSE, "matrix", schedule=Schedule(steps=3), batch_size=2, told=told)

    inversion({})(wanted, tmp_path / "whole")
    monkeypatch.setattr(inverting, "invert_pictures", watched)
    with pytest.raises(KeyboardInterrupt):
        inversion({})(wanted, tmp_path / "killed")
    assert not (tmp_path / "killed" / "codes.safetensors").exists()
    part = next((tmp_path / "killed" / "parts").iterdir())
    stop_at = -1
    inversion({})(wanted, tmp_path / "killed")
    assert done == [2, 2, 1]
    whole, killed = (read_codes(tmp_path / name / "codes.safetensors") for name in ("whole", "killed"))
    assert torch.equal(whole.codes, killed.codes)
    for name in ("inversion.html", "curves.png", "reconstructions/4.png"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "killed" / name).read_bytes()
    part.write_bytes(part.read_bytes()[:-1])
    inversion({})(wanted, tmp_path / "killed")
    assert len(done) == 4
    inversion({"start": "another"})(wanted, tmp_path / "killed")
    assert len(done) == 7
    assert len(list((tmp_path / "killed" / "parts").iterdir())) == 3


def test_a_page_holds_its_pictures_and_escapes_its_words(tmp_path: Path) -> None:
    images = torch.rand(2, random.choice([1, 3]), 8, 8) * 2 - 1
    sheet = Sheet([[Cell(images[0], "a < b"), None], [None, Cell(images[1])]], "<title>", ["x&y", "z"], ["row"])
    page = sheet.save_html(tmp_path / "new" / "sheet.html", ["one & two"]).read_text()
    found = [Image.open(BytesIO(b64decode(data.partition('"')[0]))) for data in page.split("base64,")[1:]]
    assert [picture.tobytes() for picture in found] == [to_pil(image).tobytes() for image in images]
    for text in ("a &lt; b", "&lt;title&gt;", "x&amp;y", "row", "one &amp; two"):
        assert text in page
    assert page.count("src=") == page.count('src="data:') == 2
    assert "://" not in page


# -- the command -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("runs")
    for name, method in {"encoder": "joint_ae", "none": "stylegan2"}.items():
        done = answer(
            "train", *FAST, f"method={method}", "dataset.channels=3", "kimg=0.004", f"run_dir={folder / name}"
        )
        assert done.code == 0, done
    return {path.name: path for path in folder.iterdir()}


def run(ckpt: Path, output: Path, *args: str) -> Answer:
    return answer("invert", f"ckpt={ckpt}", f"output={output}", "steps=2", *args)


@pytest.mark.slow
@pytest.mark.parametrize("schedule", ["paper", "nvidia"])
def test_a_folder_with_a_broken_picture(schedule: str, runs: dict[str, Path], tmp_path: Path) -> None:
    folder = write_pictures(tmp_path / "my pictures", "a.png", "b.png", "c.png", "c.jpg", "x/d.png")
    (folder / "b.png").write_bytes((folder / "b.png").read_bytes()[:60])
    before = contents(folder)
    done = run(runs["none"], tmp_path / "out", f"input={folder}", "space=w_plus", f"schedule={schedule}", "loss=mixed")
    assert done.code == 0, done
    assert "b.png" in done.out.splitlines()[0]
    assert "inversion.html" in done.out.splitlines()[-1]
    found = read_codes(tmp_path / "out" / "codes.safetensors", aestyle.load(runs["none"]))
    assert sorted(found.names) == ["a", "c.jpg", "c.png", "x/d"]
    assert json.loads(found.facts["inversion"])["schedule"]["steps"] == 2
    curves = np.load(tmp_path / "out" / "curves.npz")
    assert set(curves) == {"names", "perceptual", "mse", "total"}
    np.testing.assert_allclose(curves["total"], curves["perceptual"] + curves["mse"], rtol=1e-5)
    assert curves["total"].shape == (3, 4)
    page = (tmp_path / "out" / "inversion.html").read_text()
    assert all(f"{end:.4g}" in page for end in curves["total"][-1])
    assert page.count("<img") == 8
    pictures = tmp_path / "out" / "reconstructions"
    assert {path.relative_to(pictures).as_posix() for path in pictures.rglob("*.png")} == {
        f"{n}.png" for n in found.names
    }
    Image.open(tmp_path / "out" / "curves.png").verify()
    assert contents(folder) == before


@pytest.mark.slow
def test_a_tuned_model_is_a_model(runs: dict[str, Path], tmp_path: Path) -> None:
    args = ("samples=3", "start=encoder", "tune=pivotal", "tune.steps=4", "tune.lr=0.002", "loss=mse")
    done = run(runs["encoder"], tmp_path / "out", *args)
    assert done.code == 0, done
    plain, tuned = aestyle.load(runs["encoder"]), aestyle.load(tmp_path / "out" / "tuned.safetensors")
    found = read_codes(tmp_path / "out" / "codes.safetensors", tuned)
    targets = plain.sample(3)
    before, after = (squared_error(targets, model.decode(found.codes, found.space)).mean() for model in (plain, tuned))
    assert after < before
    assert torch.equal(plain.encode(targets), tuned.encode(targets))
    assert np.load(tmp_path / "out" / "curves.npz")["tuning"].shape == (4, 3)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["space=matrix"], "space=matrix: this model has the spaces z, w, w_plus"),
        (["start=encoder"], "no encoder"),
        (["start=middle"], "start=middle: choose one of"),
        (["restarts=2"], "restarts=2: give 1, or more with start=random"),
        (["samples=2", "input=x"], "not both"),
        (["samples=0"], "samples=0"),
        (["steps=0"], "steps=0"),
        (["batch_size=0"], "batch_size=0"),
        (["loss=mse", "loss.mse.weight=0"], "every weight is 0"),
        (["schedule=nvida"], "schedule=nvida does not exist"),
    ],
)
def test_what_has_no_meaning_is_refused(args: list[str], says: str, runs: dict[str, Path], tmp_path: Path) -> None:
    assert says in run(runs["none"], tmp_path / "out", *args).line
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_killed_command_goes_on(runs: dict[str, Path], tmp_path: Path) -> None:
    args = ["samples=3", "loss=mse", "steps=60", "batch_size=1", "device=cpu"]
    command = [sys.executable, "-m", "aestyle.invert", f"ckpt={runs['none']}", f"output={tmp_path / 'killed'}", *args]
    process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, start_new_session=True)
    deadline = time.monotonic() + 120
    while not list((tmp_path / "killed").glob("parts/*.safetensors")) and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for name in ("killed", "whole"):
        assert answer("invert", f"ckpt={runs['none']}", f"output={tmp_path / name}", *args).code == 0
    killed, whole = (read_codes(tmp_path / name / "codes.safetensors").codes for name in ("killed", "whole"))
    torch.testing.assert_close(killed, whole, rtol=1e-4, atol=1e-5)  # another process may have other threads
