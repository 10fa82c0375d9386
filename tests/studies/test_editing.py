"""The tasks of ``python -m aestyle.edit``, from folders of pictures to sheets, films and codes."""

import json
import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from torch import Tensor

import aestyle
from aestyle.data.transforms import Preparation
from aestyle.errors import UserError
from aestyle.latents.directions import read_directions
from aestyle.latents.mixing import choose_layers
from aestyle.studies.pictures import read_usable, skipped_line
from aestyle.studies.sheets import CELL, Cell, Sheet, can_write_mp4
from tests.helpers import FAST, Answer, answer, write_pictures

pytestmark = pytest.mark.slow

SMALL = {
    "interpolate": ("task.images=3", "task.columns=3", "task.frames=2", "~task.distance"),
    "grid": ("task.side=3",),
    "mix": ("task.a=2", "task.b=3"),
    "refine": ("task.steps=2", "task.images=3"),
    "traverse": ("task.rows=2", "task.columns=3"),
    "truncate": ("task.images=2",),
    "ganspace": ("task.components=2", "task.samples=50", "task.columns=3"),
    "sefa": ("task.components=2", "task.columns=3"),
    "restarts": ("task.restarts=2", "task.columns=3", "loss@task.losses=mse", "task.schedule.steps=2"),
    "upsample": ("task.images=3", "task.factor=2", "loss@task.losses=mse", "task.schedule.steps=2"),
}
CODES = ("grid", "interpolate", "mix", "refine", "traverse", "truncate")
"""Tasks that write codes of pictures, by the encoder; all tasks: tests/studies/test_editing_methods.py."""


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Finished runs: two with encoders and one without."""
    folder = tmp_path_factory.mktemp("runs")
    for name, options in {
        "w_plus": ("method=joint_ae", "dataset.channels=3"),
        "w": ("method=joint_ae", "method/encoder=w"),
        "none": ("method=stylegan2",),
    }.items():
        assert answer("train", *FAST, *options, "kimg=0.004", f"run_dir={folder / name}").code == 0
    return {path.name: path for path in folder.iterdir()}


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Six pictures, the second of which is broken."""
    folder = write_pictures(tmp_path / "my pictures", *(f"{name}.png" for name in "abcdef"))
    (folder / "b.png").write_bytes((folder / "b.png").read_bytes()[:60])
    return folder


def run(task: str, ckpt: Path, output: Path, *args: str) -> Answer:
    return answer("edit", f"task={task}", f"ckpt={ckpt}", f"output={output}", *SMALL[task], *args)


def codes_in(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    with safe_open(path, "pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata()  # noqa: SIM118


# -- the command -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("space", ["w_plus", "w"])
@pytest.mark.parametrize("task", CODES)
def test_a_folder_with_a_broken_picture(
    task: str, space: str, runs: dict[str, Path], pictures: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    done = run(task, runs[space], output, f"input={pictures}")
    assert done.code == 0, done
    lines = done.out.splitlines()
    assert "skipped" not in "".join(lines) if task == "traverse" else "b.png" in lines[0]  # traverse needs "a" only
    assert str(output / f"{task}.png") in lines[-1]
    written = {path.name for path in output.iterdir()}
    assert written >= {f"{task}.png", f"{task}.safetensors"}
    Image.open(output / f"{task}.png").verify()
    tensors, facts = codes_in(output / f"{task}.safetensors")
    assert json.loads(facts["names"]) == list("acdef")[: len(json.loads(facts["names"]))]
    assert facts["space"] == ("w_plus" if task == "mix" else space)
    assert all(tensor.isfinite().all() for tensor in tensors.values())


@pytest.mark.parametrize("task", ["interpolate", "mix", "truncate", "restarts"])
def test_samples_serve_a_model_without_an_encoder(task: str, runs: dict[str, Path], tmp_path: Path) -> None:
    done = run(task, runs["none"], tmp_path, "samples=5", "seed=3")
    assert done.code == 0, done
    assert (tmp_path / f"{task}.png").is_file()


@pytest.mark.parametrize("task", ["mix", "refine", "sefa"])
def test_no_encoder(task: str, runs: dict[str, Path], pictures: Path, tmp_path: Path) -> None:
    assert "no encoder" in run(task, runs["none"], tmp_path / "out", f"input={pictures}").line
    assert not (tmp_path / "out").exists()


def test_the_test_split_is_the_default(runs: dict[str, Path], tmp_path: Path) -> None:
    assert run("truncate", runs["w"], tmp_path).code == 0
    _, facts = codes_in(tmp_path / "truncate.safetensors")
    assert len(json.loads(facts["names"])) == 2


@pytest.mark.parametrize("task", ["ganspace", "sefa"])
def test_samples_are_the_default_where_directions_are_sought(task: str, runs: dict[str, Path], tmp_path: Path) -> None:
    done = run(task, runs["none"], tmp_path)
    assert done.code == 0, done
    assert "sample 0" in (tmp_path / f"{task}.html").read_text()


@pytest.mark.parametrize("task", ["upsample", "restarts"])
def test_pictures_serve_a_model_without_an_encoder(
    task: str, runs: dict[str, Path], pictures: Path, tmp_path: Path
) -> None:
    done = run(task, runs["none"], tmp_path, f"input={pictures}")
    assert done.code == 0, done
    tensors, facts = codes_in(tmp_path / f"{task}.safetensors")
    assert facts["space"] == "w"
    assert len(tensors["codes"]) == len(json.loads(facts["names"])) == (3 if task == "upsample" else 1)


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (
            "task=nope",
            "task=nope does not exist; choose one of: attributes, direction, ganspace, grid, interpolate, mix",
        ),
        ("task=mix task.layers=7", "layers=7: give indices or ranges of 0 to 3"),
        ("task=mix task.a=0", "task.a=0"),
        ("task=mix samples=2 input=x", "not both"),
        ("task=mix samples=0", "samples=0"),
        ("task=mix samples=2 seed=-1", "seed=-1"),
        ("task=mix task.sed=1", "unknown option task.sed"),
        ("task=interpolate task.how=nope", "choose one of lerp, slerp"),
        ("task=interpolate task.space=z", "cannot be brought back to z"),
        ("task=interpolate task.space=v", "none of this model's spaces"),
        ("task=interpolate task.images=1", "task.images=1"),
        ("task=grid samples=3", "between 4 pictures: 3 are too few"),
        ("task=grid task.side=1", "task.side=1"),
        ("task=interpolate samples=1", "at least 2 codes"),
        ("task=traverse task.dimensions=[1000]", "dimension=1000"),
        ("task=traverse task.dimensions=[a]", "task.dimensions=a"),
        ("task=traverse task.dimensions=3", "task.dimensions=3"),
        ("task=traverse task.reach=far", "task.reach=far"),
        ("task=traverse task.columns=4", "odd"),
        ("task=direction", "task.file is not set"),
        ("task=direction task.file=missing.safetensors", "missing.safetensors"),
        ("task=direction task.file=x task.strengths=[]", "task.strengths=[]"),
        ("task=ganspace task.of=w", "task.of=w: choose one of prior, codes"),
        ("task=ganspace task.components=99999", "components=99999"),
        ("task=ganspace task.whole=true task.layers=1", "task.whole=false"),
        ("task=sefa task.rows=all", "task.rows=all: choose one of shared, own"),
        ("task=sefa task.rows=own samples=1", "have no rows"),
        ("task=sefa task.layers=9", "layers=9: give indices or ranges of 0 to 3"),
        ("task=attributes task.ridge=0", "task.ridge=0"),
        ("task=attributes task.along=w", "task.along=w: choose one of means, normal"),
        ("task=attributes samples=20", "samples of the prior have no labels"),
        ("task=upsample task.factor=3 samples=1", "task.factor=3: give a divisor of 8"),
        ("task=upsample task.space=matrix samples=1", "space=matrix"),
        ("task=restarts task.restarts=1", "task.restarts=1"),
        ("task=mix codes=missing.safetensors", "missing.safetensors: there is no such file"),
        ("task=mix samples=2 codes=x", "not both"),
        ("task=mix split=nope", "split=nope: choose one of train, val, test"),
        ("task=interpolate task.pairs=some", "pairs=some: choose one of neighbours, all"),
        ("task=truncate task.psis=[]", "task.psis=[]"),
        ("task=truncate task.psis=[0,x]", "task.psis="),
        ("task=truncate task.psis=1", "task.psis=1"),
        ("task=refine task.lr=0", "task.lr=0"),
        ("task=refine task.lr=fast", "task.lr=fast"),
        ("task=refine task.weights.pixel=x", "pixel=x"),
        ("task=refine task.weights.domain=-1", "domain=-1"),
        ("task=refine samples=3", "input=<folder>"),
        ("task=refine batch_size=0", "batch_size=0"),
        ("task=mix input=missing", "missing"),
    ],
)
def test_mistakes_are_answered_in_one_line(
    args: str, says: str, runs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert says in answer("edit", f"ckpt={runs['w_plus']}", "output=out", *args.split(" ")).line
    assert not (tmp_path / "out").exists()


# -- what the files hold ---------------------------------------------------------------------------------------------


def test_mixtures_are_slices(runs: dict[str, Path], pictures: Path, tmp_path: Path) -> None:
    first = random.randrange(4)
    run("mix", runs["w_plus"], tmp_path, f"input={pictures}", f"task.layers={first}-")
    tensors, _ = codes_in(tmp_path / "mix.safetensors")
    codes, mixed = tensors["codes"], tensors["mixed"]
    layers = choose_layers(f"{first}-", codes.shape[1])
    for i in range(2):
        for j in range(3):
            expected = codes[i].clone()
            expected[layers] = codes[2 + j][layers]
            assert torch.equal(mixed[i, j], expected)


def test_few_pictures_are_mixed_with_each_other(runs: dict[str, Path], tmp_path: Path) -> None:
    pictures = write_pictures(tmp_path / "in", "a.png", "b.png")
    assert "2 x 2 mixtures" in run("mix", runs["w_plus"], tmp_path, f"input={pictures}").out


def test_codes_decode_to_what_the_sheet_shows(runs: dict[str, Path], pictures: Path, tmp_path: Path) -> None:
    model = aestyle.load(runs["w_plus"])
    run("refine", runs["w_plus"], tmp_path, f"input={pictures}", "task.perceptual=null")
    tensors, facts = codes_in(tmp_path / "refine.safetensors")
    keys, pixels, _ = read_usable(pictures, Preparation(8, 3), 3)
    x = pixels / 127.5 - 1
    assert [Path(key).stem for key in keys] == json.loads(facts["names"])
    torch.testing.assert_close(tensors["start"], model.encode(x))
    pixel = (x - model.decode(tensors["codes"], facts["space"])).square().mean(dim=(1, 2, 3))
    torch.testing.assert_close(tensors["curves/pixel"][-1], pixel)
    assert set(tensors) == {"start", "codes", "curves/pixel", "curves/domain", "curves/total"}


def test_films(runs: dict[str, Path], pictures: Path, tmp_path: Path) -> None:
    done = run("interpolate", runs["w"], tmp_path, f"input={pictures}", "task.space=w_plus", "task.how=slerp")
    with Image.open(tmp_path / "interpolate.gif") as film:
        assert film.info["loop"] == 0
        assert film.n_frames <= 3 * 2  # Pillow makes one of equal neighbours
    assert can_write_mp4() == (tmp_path / "interpolate.mp4").is_file()
    assert can_write_mp4() != ("aestyle[video]" in done.out)
    tensors, facts = codes_in(tmp_path / "interpolate.safetensors")
    assert facts["space"] == "w_plus"
    assert torch.equal(tensors["path"][::2], tensors["codes"])


def test_codes_from_a_file(runs: dict[str, Path], pictures: Path, tmp_path: Path) -> None:
    assert run("refine", runs["w"], tmp_path, f"input={pictures}", "task.space=w_plus").code == 0
    file = tmp_path / "refine.safetensors"
    codes = codes_in(file)[0]["codes"]
    args = (
        f"codes={file}",
        "task.pairs=all",
        "task.images=null",
        "+task.distance._target_=tests.metrics.latents.SquaredL2",
    )
    done = run("interpolate", runs["w"], tmp_path / "out", *args)
    assert done.code == 0, done
    tensors, facts = codes_in(tmp_path / "out" / "interpolate.safetensors")
    assert facts["space"] == "w_plus"
    assert torch.equal(tensors["codes"], codes)
    pairs = [(0, 1), (0, 2), (1, 2)]
    torch.testing.assert_close(tensors["midpoints"], torch.stack([(codes[a] + codes[b]) / 2 for a, b in pairs]))
    assert tensors["lengths"].shape == (3,)
    assert f"mean length of 3 ways, in 5 segments: {tensors['lengths'].mean():.4f}" in done.out
    beside = (tmp_path / "out" / "interpolate.html").read_text().count("<img")
    assert run("interpolate", runs["w"], tmp_path / "out", *args, f"input={pictures}").code == 0
    assert (tmp_path / "out" / "interpolate.html").read_text().count("<img") == beside + 2 * 3
    (pictures / "c.png").unlink()
    assert "has no picture c" in run("truncate", runs["w"], tmp_path, f"codes={file}", f"input={pictures}").line
    assert "another checkpoint" in run("truncate", runs["none"], tmp_path, f"codes={file}").out


def test_stored_directions(runs: dict[str, Path], pictures: Path, tmp_path: Path) -> None:
    assert answer("edit", "task=ganspace", f"ckpt={runs['w']}", f"output={tmp_path}", *SMALL["ganspace"]).code == 0
    file = (tmp_path / "ganspace.safetensors").rename(tmp_path / "my directions (1).safetensors")
    found = read_directions(file)
    assert found.space == "w"
    args = ("task=direction", f"output={tmp_path}", f"task.file={file}", "task.strengths=[-1,0,2]", "task.names=[1]")
    done = answer("edit", f"ckpt={runs['w_plus']}", *args, f"input={pictures}", "task.layers=1-2")
    assert done.code == 0, done
    tensors, facts = codes_in(tmp_path / "direction.safetensors")
    assert facts["space"] == "w_plus"
    edited, codes = tensors["edited"], tensors["codes"]
    assert edited.shape == (4, 1, 3, *codes.shape[1:])
    for i, strength in enumerate((-1, 0, 2)):
        expected = codes.clone()
        expected[:, 1:3] += strength * found.std[1] * found.directions[1]
        torch.testing.assert_close(edited[:, 0, i], expected)


def test_attributes_of_subfolders(runs: dict[str, Path], tmp_path: Path) -> None:
    """Dark pictures are told from bright ones, and the direction leads from ones to the others."""
    random_numbers = np.random.default_rng(random.randrange(999))
    for name, low in (("bright", 128), ("dark", 0)):
        (tmp_path / "in" / name).mkdir(parents=True)
        for i in range(8):
            pixels = random_numbers.integers(low, low + 128, (8, 8, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "in" / name / f"{i}.png")
    args = ("task=attributes", f"ckpt={runs['w_plus']}", f"output={tmp_path}", "task.least=8", "task.folds=4")
    done = answer("edit", *args, f"input={tmp_path / 'in'}")
    assert done.code == 0, done
    found = read_directions(tmp_path / "attributes.safetensors")
    assert list(found.names) == ["bright", "dark"]
    assert min(json.loads(found.facts["balanced_accuracy"]).values()) > 0.9
    torch.testing.assert_close(found.directions[0], -found.directions[1])
    assert "dark" in done.out
    assert "task.least=9" in answer("edit", *args[:-2], "task.least=9", f"input={tmp_path / 'in'}").line


def test_labels_of_a_data_set(runs: dict[str, Path], tmp_path: Path) -> None:
    """Those of the people of its pictures, also when codes come from a file."""
    args = ("task=attributes", f"ckpt={runs['w']}", f"output={tmp_path}", "task.least=4", "task.folds=2")
    done = answer("edit", *args)
    assert done.code == 0, done
    assert "class 37" in done.out
    small = ("task.images=40", "task.psis=[0,1]")
    assert answer("edit", "task=truncate", f"ckpt={runs['w']}", f"output={tmp_path}", *small).code == 0
    again = answer("edit", *args, f"codes={tmp_path / 'truncate.safetensors'}")
    assert again.out.splitlines()[0] == done.out.splitlines()[0]


# -- reading and drawing ---------------------------------------------------------------------------------------------


def test_reading_what_can_be_used(pictures: Path) -> None:
    names, images, broken = read_usable(pictures, Preparation(8, 3))
    assert names == ["a.png", "c.png", "d.png", "e.png", "f.png"]
    assert images.shape == (5, 3, 8, 8)
    assert list(broken) == ["b.png"]
    assert "\n" not in skipped_line(broken)
    assert read_usable(pictures, Preparation(8, 3), 1)[0] == ["a.png"]
    for name in names:
        (pictures / name).write_bytes(b"")
    with pytest.raises(UserError, match="none of the 6 pictures can be used"):
        read_usable(pictures, Preparation(8, 3))


def colours(n: int) -> Iterator[tuple[int, ...]]:
    """Different saturated colours, which no text has."""
    for _ in range(n):
        yield tuple(random.sample([random.randrange(60), random.randrange(100, 150), random.randrange(200, 256)], 3))


@pytest.mark.parametrize("labelled", [True, False])
def test_every_picture_is_in_the_sheet_once_and_whole(labelled: bool) -> None:
    chosen = list(dict.fromkeys(colours(6)))
    side = random.choice([8, 32, 128])
    cells = [Cell(torch.tensor(c)[:, None, None].expand(3, side, side) / 127.5 - 1, "caption") for c in chosen]
    options = {
        "title": "a very long title " * 5,
        "columns": ["narrow", "a label far too long for its column"],
        "rows": ["ψ", "a name without end " * 9],
        "row_groups": [1],
        "column_groups": [1, 2],
    }
    sheet = Sheet([[cells[0], None, *cells[3:]], [None, *cells[1:3]]], **(options if labelled else {}))  # type: ignore[arg-type]
    pixels = np.asarray(sheet.draw())
    for colour in chosen:
        rows, columns = np.nonzero((pixels == colour).all(axis=2))
        size = side * max(1, CELL // side)
        assert len(rows) == size**2
        assert np.ptp(rows) == np.ptp(columns) == size - 1
    assert (pixels[:4] == 255).all()
    assert (pixels[:, -4:] == 255).all()


def test_grey_pictures_can_be_drawn(tmp_path: Path) -> None:
    grey = Sheet([[Cell(torch.zeros(1, 8, 8))]]).save(tmp_path / "below" / "grey.png")
    assert Image.open(grey).mode == "RGB"
