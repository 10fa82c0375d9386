"""The report on a model's pictures beside those of another program."""

import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import aestyle
from aestyle.engine.module import PhasedModule
from aestyle.errors import UserError
from aestyle.studies.parity import compare, self_check
from tests.helpers import answer
from tests.nets import parity

NUMBERS = parity.load("stylegan2_ada_32")
Z, IMAGES = NUMBERS["inputs"]["z"], NUMBERS["outputs"]["image_const_fused"]


@pytest.fixture(scope="module")
def model() -> PhasedModule:
    return aestyle.load("joint_ae_emoji_32")


@pytest.mark.parametrize("ending", ["npz", "safetensors"])
@pytest.mark.parametrize("name", ["z", "w", "w_plus", "x"])
def test_figures_are_those_of_the_difference(model: PhasedModule, tmp_path: Path, name: str, ending: str) -> None:
    given = torch.rand(3, 3, 32, 32) * 2 - 1 if name == "x" else model.prior(3, seed=torch.randint(99, ()).item())
    codes = model.encode(given) if name == "x" else model.convert_code(given, "z", name)
    images = model.decode(codes) if name == "x" else model.decode(codes, name)
    clamped = images.clamp(-1, 1)
    other = (clamped + 0.01 * torch.randn_like(images)).clamp(-1, 1)
    arrays = {name: given if name == "x" else codes, "images": other}
    file = tmp_path / f"reference.{ending}"
    if ending == "npz":
        np.savez(file, **{key: value.numpy() for key, value in arrays.items()})
    else:
        save_file({key: value.contiguous() for key, value in arrays.items()}, file)
    line = compare(model, file, 0.1)
    found = [float(word) for word in re.findall(r"(?:difference|mean|PSNR) ([\d.e-]+)", line)]
    difference = (clamped - other).double()
    expected = [difference.abs().max(), difference.abs().mean(), 10 * math.log10(4 / difference.square().mean())]
    assert found == pytest.approx([float(value) for value in expected], rel=0.06)
    with pytest.raises(UserError, match=r"reference\.\w+: largest difference .* more than tolerance=0.001"):
        compare(model, file, 0.001)


def test_bytes_are_pictures_too(model: PhasedModule, tmp_path: Path) -> None:
    z = model.prior(2)
    images = (model.decode(z, "z") * 127.5 + 128).clamp(0, 255).to(torch.uint8)
    np.savez(tmp_path / "x.npz", z=z, images=images)
    assert "PSNR" in compare(model, tmp_path / "x.npz", 0.005)


@pytest.mark.slow
def test_the_command_prints_it_or_converts_nothing(tmp_path: Path) -> None:
    torch.save({"G_ema": NUMBERS["checkpoint"]["G"]}, tmp_path / "g.pt")
    np.savez(tmp_path / "x.npz", z=Z, images=IMAGES)
    options = [f"input={tmp_path / 'g.pt'}", f"output={tmp_path / 'run'}", f"reference={tmp_path / 'x.npz'}"]
    done = answer("convert", *options, "tolerance=1e-4")
    assert done.code == 0
    assert re.search(rf"{len(Z)} pictures beside .*x\.npz: largest difference [\d.]+e-0[67], mean", done.out)
    np.savez(tmp_path / "x.npz", z=Z, images=IMAGES.roll(1, 3))
    options[1] = f"output={tmp_path / 'other'}"
    assert "more than tolerance=0.01" in answer("convert", *options).line
    assert not (tmp_path / "other").exists()


def test_files_that_do_not_belong_to_the_model(model: PhasedModule, tmp_path: Path) -> None:
    z = torch.zeros(2, 128)
    images = torch.zeros(2, 3, 32, 32)
    file = tmp_path / "x.npz"
    for arrays, reason in (
        ({"z": z}, "give arrays `images` and one of z, w, w_plus, x"),
        ({"z": z, "w": z, "images": images}, "give arrays `images` and one of"),
        ({"images": images}, "give arrays `images` and one of"),
        ({"z": z[:, :5], "images": images}, r"a code of space z has the shape"),
        ({"x": images[:, :1], "images": images}, r"a picture of x is \(1, 32, 32\), the model takes \(3, 32, 32\)"),
        ({"z": z, "images": images[:1]}, r"images are \(1, 3, 32, 32\), the model draws \(2, 3, 32, 32\)"),
    ):
        np.savez(file, **arrays)
        with pytest.raises(UserError, match=reason):
            compare(model, file, 0.1)
    with pytest.raises(UserError, match="tolerance=much: give a number"):
        compare(model, file, "much")  # type: ignore[arg-type]
    np.savez(file, z=np.array([print], dtype=object), images=images)
    for path, reason in ((file, "cannot be read"), (tmp_path / "y.npz", "there is no such file")):
        with pytest.raises(UserError, match=reason):
            compare(model, path, 0.1)


def test_self_check(model: PhasedModule, monkeypatch: pytest.MonkeyPatch) -> None:
    line = self_check(model)
    images = model.sample(4)
    assert f"(4, 3, 32, 32): mean {images.mean():.3f}, std {images.std():.3f}, from {images.min():.2f}" in line
    assert self_check(model) == line
    monkeypatch.setattr(model, "sample", lambda n, seed: images * float("nan"))
    with pytest.raises(UserError, match="not finite"):
        self_check(model)
