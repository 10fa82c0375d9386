"""Checkpoints in the layouts of the reference codes become run folders that give the reference's numbers."""

import argparse
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf
from torch import Tensor

import aestyle
from aestyle.engine.module import PhasedModule
from aestyle.nets.generator import style_per_layer
from tests.helpers import Answer, answer, contents, write_pictures
from tests.nets import parity

STYLEGAN2 = parity.load("stylegan2_32")
AE_STYLEGAN = parity.load("ae_stylegan_32")
G, D = STYLEGAN2["checkpoint"]["g"], STYLEGAN2["checkpoint"]["d"]
State = dict[str, Tensor]


def command(source: Path, output: Path, *options: str) -> Answer:
    return answer("convert", f"input={source}", f"output={output}", *options)


def converted(folder: Path, name: str = "some.pt", **content: Any) -> PhasedModule:
    """What ``aestyle.load`` gives of a file with this content."""
    torch.save(content, folder / name)
    assert command(folder / name, folder / "run").code == 0
    return aestyle.load(folder / "run")


def refused(source: Path) -> str:
    """The one line that a file is refused with; nothing is left behind."""
    output = source.parent / "run"
    line = command(source, output).line
    assert source.name in line
    assert not output.exists()
    return line


def disturbed(state: State) -> State:
    """The same layout with other numbers."""
    return {key: value + torch.rand_like(value) for key, value in state.items()}


# -- the numbers of the reference ------------------------------------------------------------------------------------


def test_stylegan2(tmp_path: Path) -> None:
    inputs, outputs = STYLEGAN2["inputs"], STYLEGAN2["outputs"]
    model = converted(tmp_path, g=disturbed(G), d=D, g_ema=G, d_optim={"state": {0: {"step": 1}}})
    parity.assert_values(model.decode(inputs["z"][:1], "z"), outputs["image_fixed_buffers"])
    parity.assert_values(model.ema["mapping"](inputs["z"]), outputs["w"])
    parity.assert_values(model.discriminator(inputs["real"]), outputs["logits_b8"])
    assert not model.has_encoder


def test_the_averaged_generator_is_the_one_that_decodes(tmp_path: Path) -> None:
    inputs, outputs = STYLEGAN2["inputs"], STYLEGAN2["outputs"]
    model = converted(tmp_path, **STYLEGAN2["checkpoint"])
    for prefix, part, image in (("ema.", "z", "image_ema"), ("", "z", "image")):
        mapping, synthesis = (model.get_submodule(f"{prefix}{name}") for name in ("mapping", "synthesis"))
        ws = style_per_layer(mapping(inputs[part][:1]), 8)
        parity.assert_values(synthesis(ws, [n[:1] for n in inputs["noise"]]), outputs[image][:1])


def test_state_dicts_of_nvidia(tmp_path: Path) -> None:
    numbers = parity.load("stylegan2_ada_32")
    inputs, outputs, networks = numbers["inputs"], numbers["outputs"], numbers["checkpoint"]
    model = converted(tmp_path, G=disturbed(networks["G"]), G_ema=networks["G"], D=networks["D"])
    parity.assert_values(model.decode(inputs["z"], "z"), outputs["image_const_fused"])
    parity.assert_values(model.discriminator(inputs["real"][:4]), outputs["logits_b4"])


@pytest.mark.parametrize("names", [("e", "g"), ("e_ema", "g_ema")])
@pytest.mark.parametrize("head", ["e_w", "e_wplus"])
def test_joint_ae(tmp_path: Path, head: str, names: tuple[str, str]) -> None:
    state, inputs, outputs = AE_STYLEGAN["state"], AE_STYLEGAN["inputs"], AE_STYLEGAN["outputs"]
    networks = {"e": disturbed(state[head]), "g": disturbed(state["g"]), "d": state["d"], "d2": state["d"]}
    if "e" in names:
        networks = {name: networks[name] for name in ("d", "d2")}
    model = converted(tmp_path, **networks, **{names[0]: state[head], names[1]: state["g"]})
    codes = model.encode(inputs["x"])
    assert codes.shape == ((4, 64) if head == "e_w" else (4, 8, 64))
    parity.assert_values(codes.flatten(1), outputs[head]["code"])
    ws = codes if head == "e_wplus" else style_per_layer(codes, 8)
    parity.assert_values(model.ema["synthesis"](ws, inputs["noise"]), outputs[head]["rec"])
    torch.testing.assert_close(model.decode(codes), model.decode(ws, "w_plus"))
    parity.assert_values(model.discriminator(inputs["x"]), outputs["logits_real"])


def test_grey_pictures(tmp_path: Path) -> None:
    """RGB channels are independent sums: a generator cut to its first one draws the first channel."""

    def first_channel(key: str, value: Tensor) -> Tensor:
        is_rgb = "to_rgb" in key and (key.endswith(".conv.weight") or (key.endswith(".bias") and value.ndim == 4))
        return value[:, :1] if is_rgb else value

    grey = {key: first_channel(key, value) for key, value in G.items()}
    model = converted(tmp_path, g=grey, d={**D, "convs.0.0.weight": D["convs.0.0.weight"][:, :1]})
    assert model.channels == 1
    image = STYLEGAN2["outputs"]["image_fixed_buffers"]
    parity.assert_values(model.decode(STYLEGAN2["inputs"]["z"][:1], "z"), image[:, :1])


# -- the run folder --------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_every_command_reads_the_folder(tmp_path: Path) -> None:
    state = AE_STYLEGAN["state"]
    torch.save({"g": state["g"], "d": state["d"], "e": state["e_wplus"]}, tmp_path / "é (1).pt")
    pictures = write_pictures(tmp_path / "pictures", *(f"{i}.png" for i in range(40)), size=40)
    said = command(tmp_path / "é (1).pt", tmp_path / "open")
    assert said.code == 0
    assert all(word in said.out for word in ("joint_ae", "w_plus", "32 px", "4: 32, 8: 32, 16: 24, 32: 12", "16,640"))
    ckpt = f"ckpt={tmp_path / 'open'}"
    assert answer("sample", ckpt, "n=2", f"output={tmp_path / 'samples'}").code == 0
    assert answer("reconstruct", ckpt, f"input={pictures}", f"output={tmp_path / 'rec'}").code == 0
    assert len(contents(tmp_path / "samples")) == 3
    assert len(contents(tmp_path / "rec")) == 41
    assert "dataset.path=" in answer("evaluate", ckpt, "metrics=rec_mse").line
    assert command(tmp_path / "é (1).pt", tmp_path / "named", f"dataset.path={pictures}").code == 0
    assert answer("evaluate", f"ckpt={tmp_path / 'named'}", "metrics=rec_mse", "split=train").code == 0
    cfg = OmegaConf.load(tmp_path / "named" / "config.yaml")
    assert cfg.dataset.path == str(pictures)
    assert cfg.scale.channels == AE_STYLEGAN["config"]["channels"]


@pytest.mark.parametrize(
    ("name", "more", "images_seen"),
    [
        ("012000.pt", {}, 12000 * 16),
        ("012000.pt", {"args": argparse.Namespace(batch=4, path="x", latent=512)}, 12000 * 4),
        ("latest.pt", {"iter": 70, "args": argparse.Namespace(batch=8)}, 70 * 8),
        ("ffhq-256.pt", {"args": argparse.Namespace(batch=8)}, 0),
    ],
)
def test_images_seen(tmp_path: Path, name: str, more: dict[str, Any], images_seen: int) -> None:
    assert converted(tmp_path, name, g_ema=G, **more).images_seen == images_seen


def test_an_output_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    torch.save({"g": G, "d": D}, tmp_path / "some.pt")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "mine.txt").write_text("mine")
    assert "exists already" in command(tmp_path / "some.pt", tmp_path / "run").line
    assert contents(tmp_path / "run") == {"mine.txt": b"mine"}
    (tmp_path / "run" / "mine.txt").unlink()
    assert command(tmp_path / "some.pt", tmp_path / "run").code == 0


# -- bad input -------------------------------------------------------------------------------------------------------


class Evil:
    """Makes a folder when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Callable[..., object], tuple[Path]]:
        return Path.mkdir, (self.target,)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("where", ["top", "args", "state"])
def test_nothing_in_the_file_is_executed(tmp_path: Path, where: str, zipped: bool) -> None:
    evil: Any = Evil(tmp_path / "executed")
    content = {
        "top": {"g": G, "d": D, "evil": evil},
        "args": {"g": G, "d": D, "args": argparse.Namespace(batch=evil)},
        "state": {"g": {**G, "input.input": evil}, "d": D},
    }[where]
    file = tmp_path / "evil.pt"
    torch.save(content, file, _use_new_zipfile_serialization=zipped)
    assert "refused" in refused(file)
    assert not (tmp_path / "executed").exists()
    torch.load(file, weights_only=False)  # the trap is a real one
    assert (tmp_path / "executed").exists()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({"a": 1}, "no networks"),
        ([G], "no networks"),
        ({"g": G, "d": 3}, "no networks"),
        ({"g": {"mapping.fc0.weight": torch.zeros(2)}}, "mapping.fc0.weight"),
        ({"g": {}}, "cannot be converted"),
        ({"g": {key: value for key, value in G.items() if "to_rgb" not in key}}, "cannot be converted"),
        ({"g": {**G, "style.1.weight": torch.zeros(64, 3)}}, "mapping"),
        ({"g": {**G, "conv1.noise.weight": torch.zeros(2)}}, "cannot be converted"),
        ({"g": {**G, "style.x.weight": torch.zeros(2)}}, "style.x.weight"),
        ({"g": G, "d": AE_STYLEGAN["state"]["d"]}, "discriminator"),
        ({"g": G, "d": D, "e": D}, "not a StyleGAN2"),
        ({"g": G, "d": D, "e": AE_STYLEGAN["state"]["e_w"]}, "encoder"),
    ],
)
def test_other_contents(tmp_path: Path, content: Any, reason: str) -> None:
    torch.save(content, tmp_path / "other.pt")
    assert reason in refused(tmp_path / "other.pt")


@pytest.mark.parametrize("zipped", [True, False])
def test_truncated(tmp_path: Path, zipped: bool) -> None:
    file = tmp_path / "some.pt"
    torch.save({"g": G, "d": D}, file, _use_new_zipfile_serialization=zipped)
    whole = file.read_bytes()
    for size in torch.randint(0, len(whole) - 8, (5,)).tolist():
        file.write_bytes(whole[:size])
        refused(file)


def test_other_files(tmp_path: Path) -> None:
    for name, data in {"text.pt": b"hello\n", "pickle.pt": pickle.dumps({"G_ema": [1]}), "empty.pt": b""}.items():
        (tmp_path / name).write_bytes(data)
        refused(tmp_path / name)
    (tmp_path / "ffhq.pkl").write_bytes(pickle.dumps({"G_ema": [1]}))
    assert "NVIDIA" in refused(tmp_path / "ffhq.pkl")
    (tmp_path / "folder.pt").mkdir()
    assert "directory" in refused(tmp_path / "folder.pt")
    assert "No such file" in refused(tmp_path / "nothing.pt")
