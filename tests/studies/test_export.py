"""Models as one small file, and those that come with the package."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import aestyle
from aestyle.engine.checkpoint import read_checkpoint
from aestyle.engine.module import PhasedModule
from aestyle.engine.slim import read_slim, write_slim
from aestyle.errors import UserError
from aestyle.studies.loading import SHIPPED, load_run, shipped
from tests.helpers import FAST, ROOT, answer, write_pictures


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run whose pictures lie below ``paths.data``, under an absolute path."""
    folder = tmp_path_factory.mktemp("export")
    pictures = write_pictures(folder / "data" / "some pictures", *(f"{i}.png" for i in range(8)))
    source = ["dataset=folder", f"paths.data={folder / 'data'}", f"dataset.path={pictures}", "dataset.num_workers=0"]
    options = [*FAST, "method=joint_ae", "method/augment=ada", *source, f"run_dir={folder / 'run'}"]
    assert answer("train", *options).code == 0
    return folder / "run"


@pytest.fixture(scope="module")
def slim(run: Path) -> Path:
    """It, exported."""
    path = run.parent / "model.safetensors"
    done = answer("convert", f"input={run}", f"output={path}")
    assert done.code == 0
    assert "joint_ae after 0.008 kimg: mapping, synthesis, encoder" in done.out
    return path


def test_weights_are_the_averaged_ones_in_16_bits(run: Path, slim: Path) -> None:
    whole, small = aestyle.load(run), aestyle.load(slim)
    for name, network in small.ema.items():
        for key, value in network.state_dict().items():
            stored = whole.ema[name].state_dict()[key]
            assert value.dtype == torch.float32
            assert torch.equal(value, stored.half().float())
            assert torch.equal(value, small.networks[name].state_dict()[key])
    assert slim.stat().st_size < (run / "checkpoints" / "last.ckpt").stat().st_size / 4


def test_what_was_only_for_training_is_gone(slim: Path) -> None:
    model, _, info = load_run(slim)
    assert set(model.networks) == {"mapping", "synthesis", "encoder"}
    assert info.kimg == 0.008
    assert not any(p.requires_grad for p in model.parameters())


def test_pictures_are_looked_for_where_the_reader_keeps_them(
    run: Path, slim: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert str(run.parent) not in read_slim(slim)["aestyle"]["config"]
    line = answer("evaluate", f"ckpt={slim}", "metrics=[rec_mse]", "split=train").line
    assert "data/some pictures" in line
    (tmp_path / "elsewhere").symlink_to(run.parent / "data")
    monkeypatch.setenv("AESTYLE_DATA", str(tmp_path / "elsewhere"))
    here = tmp_path / slim.name
    here.write_bytes(slim.read_bytes())
    assert answer("evaluate", f"ckpt={here}", "metrics=[rec_mse]", "split=train", "cache=null").code == 0


def test_every_command_takes_it(slim: Path, tmp_path: Path) -> None:
    pictures = write_pictures(tmp_path / "in", "a.png", "b.png")
    assert answer("sample", f"ckpt={slim}", "n=2", f"output={tmp_path / 'samples'}").code == 0
    assert answer("reconstruct", f"ckpt={slim}", f"input={pictures}", f"output={tmp_path / 'rec'}").code == 0
    assert answer("edit", "task=mix", f"ckpt={slim}", f"input={pictures}", f"output={tmp_path / 'mix'}").code == 0
    start = [*FAST, "method=joint_ae", "dataset.channels=3", f"init_from={slim}", f"run_dir={tmp_path / 'run'}"]
    assert answer("train", *start).code == 0


def test_onnx_names_the_extra_that_it_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aestyle.studies.onnx_export.find_spec", lambda name: None)
    line = answer("convert", "input=joint_ae_emoji_32", f"output={tmp_path / 'x.onnx'}").line
    assert "needs onnx, onnxscript, onnxruntime: pip install 'aestyle[export]'" in line


def test_damage_is_one_line(slim: Path, tmp_path: Path) -> None:
    content = slim.read_bytes()
    bad = tmp_path / "bad.safetensors"
    for damaged in (content[: len(content) // 2], content[:3], b"", b"\x00" * 64):
        bad.write_bytes(damaged)
        assert f"{bad}: truncated or damaged" in answer("sample", f"ckpt={bad}", "output=x").line
    from safetensors.torch import save_file

    save_file({"a": torch.zeros(1)}, bad)
    assert f"{bad}: not a model of aestyle" in answer("sample", f"ckpt={bad}", "output=x").line


def test_what_16_bits_cannot_hold_is_refused(run: Path, tmp_path: Path) -> None:
    checkpoint = read_checkpoint(run / "checkpoints" / "last.ckpt")
    checkpoint["state_dict"]["ema.synthesis.constant"] = torch.full((1,), 1e6)
    with pytest.raises(UserError, match=r"ema\.synthesis\.constant holds values that 16 bits cannot hold"):
        write_slim(tmp_path / "x.safetensors", checkpoint, "")
    assert not list(tmp_path.iterdir())


# -- what comes with the package -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(shipped()))
def test_a_shipped_model_is_small_described_and_works(name: str, tmp_path: Path) -> None:
    assert (SHIPPED / f"{name}.safetensors").stat().st_size <= 5_000_000
    card = (SHIPPED / f"{name}.md").read_text(encoding="utf-8")
    assert all(word in card for word in ("licence", "kimg", "rec_mse", "fd_efflite0", "python -m aestyle.train"))
    model: PhasedModule = aestyle.load(name)
    assert str(ROOT) not in model.config_yaml
    pictures = ROOT / "docs" / "emoji"
    done = answer("reconstruct", f"ckpt={name}", f"input={pictures}", f"output={tmp_path}")
    assert done.code == 0, done.err
    errors, contrasts = [], []
    for path in pictures.glob("*.png"):
        with Image.open(path) as picture, Image.open(tmp_path / path.name) as rec:
            white = Image.new("RGBA", picture.size, "white")
            x = Image.alpha_composite(white, picture.convert("RGBA")).resize(rec.size)
            a, b = (np.asarray(image.convert("RGB"), dtype=np.float64) for image in (x, rec))
            errors.append(((a - b) ** 2).mean())
            contrasts.append(((a - a.mean(axis=(0, 1))) ** 2).mean())
    assert np.mean(errors) < np.mean(contrasts) / 2


def test_an_unknown_name_is_answered_with_those_that_there_are() -> None:
    line = answer("sample", "ckpt=joint_ae_emojis", "output=x").line
    assert all(name in line for name in shipped())
