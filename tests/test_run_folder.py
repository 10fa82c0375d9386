"""What a run leaves in its folder, how it goes on, and what is made of it."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

import aestyle
from aestyle.errors import UserError
from aestyle.protocol import Autoencoder
from aestyle.studies.loading import load_run
from tests.helpers import FAST, answer, choices, contents, write_pictures
from tests.tiny import slow_but

RUN = (*FAST, "scale.stats_kimg=0.004", "kimg=0.012")
METHODS = slow_but(["stylegan2", "joint_ae", "two_stage", "aae"], choices("method"))


class Finished(dict[str, Path]):
    """A finished run of three iterations of each method that is asked for."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    def __missing__(self, method: str) -> Path:
        run = self[method] = self.folder / method
        init = [f"init_from={self['stylegan2']}"] if method == "two_stage" else []
        assert answer("train", *RUN, f"method={method}", *init, f"run_dir={run}").code == 0
        return run


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """Runs of all methods; tests that change one copy it."""
    return Finished(tmp_path_factory.mktemp("runs"))


@pytest.fixture
def run(finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the finished joint_ae run."""
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copytree(finished["joint_ae"], tmp_path / "run"))


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


# -- what is there ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_a_run_leaves_what_the_contract_says(method: str, finished: Finished) -> None:
    run = finished[method]
    last = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    assert last["aestyle"]["images_seen"] == 12
    assert f"name: {method}" in (run / "config.yaml").read_text(encoding="utf-8")
    stats = lines(run / "stats.jsonl")
    assert [line["kimg"] for line in stats] == [0.004, 0.008, 0.012]
    assert all({"images_per_second", "health/bad_steps"} <= set(line) for line in stats)
    if any(key.startswith("discriminator.") for key in last["state_dict"]):
        assert all({"loss/D", "score/real"} <= set(line) for line in stats)
    samples = sorted((run / "samples").glob("samples-*.png"))
    assert len(samples) == 2  # before and after
    with Image.open(samples[-1]) as grid:
        assert grid.size == (8 * (8 + 2) + 2,) * 2


def test_nothing_else_is_left(finished: Finished) -> None:
    assert sorted(path.name for path in finished["stylegan2"].iterdir()) == [
        "checkpoints",
        "config.yaml",
        "samples",
        "state.json",
        "stats.jsonl",
    ]
    assert [path.name for path in (finished["stylegan2"] / "checkpoints").iterdir()] == ["last.ckpt"]


def test_no_feature_network_is_in_a_checkpoint(finished: Finished) -> None:
    names = torch.load(finished["joint_ae"] / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    roots = {name.split(".")[0] for name in names}
    assert roots == {"mapping", "synthesis", "discriminator", "encoder", "ema", "path_mean"}


# -- going on --------------------------------------------------------------------------------------------------------


def test_a_finished_run_says_so_and_stays_as_it_is(run: Path) -> None:
    before = contents(run)
    again = answer("train", *RUN, f"run_dir={run}")
    assert again.code == 0
    assert "is finished (0.012 of 0.012 kimg)" in again.out
    assert contents(run) == before


def test_a_larger_budget_goes_on(run: Path) -> None:
    more = answer("train", *RUN, "kimg=0.02", f"run_dir={run}")
    assert more.code == 0
    assert re.search(r"going on from .*last\.ckpt at 0\.012 kimg", more.out)
    assert [line["kimg"] for line in lines(run / "stats.jsonl")] == [0.004, 0.008, 0.012, 0.016, 0.02]
    assert {path.name for path in (run / "checkpoints").iterdir()} == {"last.ckpt", "previous.ckpt"}
    assert load_run(run)[2].kimg == 0.02


@pytest.mark.parametrize(
    ("option", "difference"),
    [
        ("method.lr=0.5", "method.lr=0.002 there, 0.5 here"),
        ("seed=3", "method.seed=0 there, 3 here; seed=0 there, 3 here"),
        ("method.beta=null", r"method.beta=\(none\) there, None here"),
        ("dataset.flip=false", "dataset.flip=True there, False here"),
        ("method=stylegan2", "method._target_=aestyle.methods.joint_ae.JointAE there, aestyle.methods.stylegan2"),
    ],
)
def test_other_options_in_an_existing_folder_are_refused(option: str, difference: str, run: Path) -> None:
    before = contents(run)
    line = answer("train", *RUN, "kimg=1", option, f"run_dir={run}").line
    assert re.search(difference, line), line
    assert str(run) in line
    assert contents(run) == before


def test_the_trainer_and_the_logger_may_change_between_two_starts(run: Path) -> None:
    assert (
        answer("train", *RUN, "kimg=0.016", "logger=csv", "callbacks.progress.every_seconds=1", f"run_dir={run}").code
        == 0
    )


def test_statistics_are_cut_back_to_the_checkpoint(run: Path) -> None:
    """What a kill leaves: lines that are newer than the checkpoint, the last of them cut short."""
    stats = run / "stats.jsonl"
    expected = stats.read_text(encoding="utf-8")
    stats.write_text(expected + '{"kimg": 0.016, "loss/D": 7}\n{"kimg": 0.02, "lo', encoding="utf-8")
    assert answer("train", *RUN, "kimg=0.016", f"run_dir={run}").code == 0
    after = stats.read_text(encoding="utf-8")
    assert after.startswith(expected)
    assert [line["kimg"] for line in lines(stats)] == [0.004, 0.008, 0.012, 0.016]
    assert lines(stats)[-1]["loss/D"] != 7


def test_a_run_without_a_name_finds_its_folder_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    command = (*FAST, "method=stylegan2", "dataset.num_workers=0", "kimg=0.004")
    assert answer("train", *command).code == 0
    assert "going on from" in answer("train", *command, "kimg=0.008").out
    assert len(list((tmp_path / "runs").iterdir())) == 1


# -- sample, reconstruct, evaluate -----------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_the_first_samples_do_not_depend_on_their_number(method: str, finished: Finished, tmp_path: Path) -> None:
    few, many = tmp_path / "few", tmp_path / "many"
    assert answer("sample", f"ckpt={finished[method]}", "n=2", f"output={few}", "batch_size=1", "seed=5").code == 0
    assert answer("sample", f"ckpt={finished[method]}", "n=5", f"output={many}", "batch_size=3", "seed=5").code == 0
    first, all_of_them = contents(few), contents(many)
    assert sorted(all_of_them) == ["grid.png", *(f"sample-{i:05d}.png" for i in range(5))]
    assert sorted(first) == ["grid.png", "sample-00000.png", "sample-00001.png"]
    with Image.open(few / "sample-00000.png") as image:
        assert (image.size, image.mode) == ((8, 8), "L")
    for name in ("sample-00000.png", "sample-00001.png"):
        assert_same_picture(few / name, many / name)


def assert_same_picture(a: Path, b: Path) -> None:
    """The same but for one grey level: convolutions of another batch size may round otherwise."""
    with Image.open(a) as left, Image.open(b) as right:
        pixels = zip(left.tobytes(), right.tobytes(), strict=True)
        assert max(abs(x - y) for x, y in pixels) <= 1


def test_another_seed_gives_other_samples(run: Path, tmp_path: Path) -> None:
    for seed in (0, 1):
        assert answer("sample", f"ckpt={run}", "n=1", f"seed={seed}", f"output={tmp_path / str(seed)}").code == 0
    assert contents(tmp_path / "0")["sample-00000.png"] != contents(tmp_path / "1")["sample-00000.png"]


@pytest.mark.parametrize("option", ["n=0", "n=-3", "n=many", "n=1.5", "batch_size=0", "seed=x"])
def test_sample_refuses_what_it_cannot_do(option: str, run: Path, tmp_path: Path) -> None:
    line = answer("sample", f"ckpt={run}", f"output={tmp_path / 'out'}", option).line
    assert option in line
    assert not (tmp_path / "out").exists()


def test_every_picture_gets_its_reconstruction(run: Path, tmp_path: Path) -> None:
    names = ["a.png", "a.jpg", "été/ü b.png", "sub/a.png", "c.x.bmp", "grid.png"]
    pictures = write_pictures(tmp_path / "in", *names, size=20)
    assert (
        answer("reconstruct", f"ckpt={run}", f"input={pictures}", f"output={tmp_path / 'out'}", "batch_size=4").code
        == 0
    )
    written = sorted(contents(tmp_path / "out"))
    assert written == sorted(
        ["a.png.png", "a.jpg.png", "été/ü b.png", "sub/a.png", "c.x.png", "grid.png.png", "grid.png"]
    )
    for name in written:
        with Image.open(tmp_path / "out" / name) as image:
            assert name == "grid.png" or image.size == (8, 8)


def test_reconstruct_skips_broken_pictures_and_names_them(run: Path, tmp_path: Path) -> None:
    pictures = write_pictures(tmp_path / "in", "a.png", "b.png")
    (pictures / "no picture.png").write_text("text")
    done = answer("reconstruct", f"ckpt={run}", f"input={pictures}", f"output={tmp_path / 'out'}")
    assert done.code == 0
    assert "skipped 1 that cannot be used: no picture.png" in done.out
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.png", "b.png", "grid.png"]


def test_reconstruct_refuses_bad_input_by_name(run: Path, tmp_path: Path) -> None:
    pictures = tmp_path / "in"
    pictures.mkdir()
    (pictures / "no picture.png").write_text("text")
    where = (f"input={pictures}", f"output={tmp_path / 'out'}")
    assert "no picture.png" in answer("reconstruct", f"ckpt={run}", *where).line
    write_pictures(pictures, "a.png")
    assert "batch_size=0" in answer("reconstruct", f"ckpt={run}", *where, "batch_size=0").line
    assert "nowhere: no such folder" in answer("reconstruct", f"ckpt={run}", "input=nowhere", where[1]).line
    assert not (tmp_path / "out").exists()


def test_a_model_without_an_encoder_refuses_to_reconstruct(finished: Finished, tmp_path: Path) -> None:
    pictures = write_pictures(tmp_path / "in", "a.png")
    line = answer(
        "reconstruct", f"ckpt={finished['stylegan2']}", f"input={pictures}", f"output={tmp_path / 'out'}"
    ).line
    assert "no encoder" in line
    assert not (tmp_path / "out").exists()


def test_evaluate_appends_a_line_a_metric_with_everything_that_defines_it(run: Path) -> None:
    checkpoint = run / "checkpoints" / "last.ckpt"
    for ckpt in (run, checkpoint):
        shown = answer("evaluate", f"ckpt={ckpt}", "metrics=[rec_mse,mse_pca8]")
        assert shown.code == 0
        assert "rec_mse" in shown.out
        assert "mse_pca8" in shown.out
    records = lines(run / "metrics.jsonl")
    assert [record["metric"] for record in records] == ["rec_mse", "mse_pca8"] * 2
    keys = {"metric", "value", "kimg", "checkpoint", "extractor", "resize", "num_images", "split", "seed", "seconds"}
    for record in records:
        assert keys <= set(record)
        assert (record["kimg"], record["split"], record["num_images"]) == (0.012, "test", 40)
        assert Path(record["checkpoint"]).resolve() == checkpoint.resolve()
    assert records[0]["value"] == records[2]["value"]


def test_evaluate_refuses_a_split_that_is_not_there(run: Path) -> None:
    assert "split=nope" in answer("evaluate", f"ckpt={run}", "metrics=[rec_mse]", "split=nope").line
    assert not (run / "metrics.jsonl").exists()


@pytest.mark.slow
def test_evaluate_leaves_out_what_the_model_does_not_offer(finished: Finished, tmp_path: Path) -> None:
    """Of a set, the rest is measured; a metric alone is refused."""
    run, path_length = shutil.copytree(finished["aae"], tmp_path / "run"), "ppl_w_end_efflite0_500"
    said = answer("evaluate", f"ckpt={run}", f"metrics=[{path_length},rec_mse]")
    assert f"not measured: {path_length} walks through space w" in said.out
    assert [record["metric"] for record in lines(run / "metrics.jsonl")] == ["rec_mse"]
    assert f"{path_length} walks through space w" in answer("evaluate", f"ckpt={run}", f"metrics=[{path_length}]").line
    assert len(lines(run / "metrics.jsonl")) == 1


# -- in Python -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", [".", "checkpoints/last.ckpt"])
def test_a_loaded_model_encodes_decodes_and_samples(where: str, run: Path) -> None:
    model = aestyle.load(run / where)
    assert isinstance(model, Autoencoder)
    assert (model.resolution, model.channels, model.training) == (8, 1, False)
    code = model.encode(torch.rand(3, 1, 8, 8) * 2 - 1)
    assert code.shape == (3, 4, 16)  # 2 log2(8) - 2 layers
    assert model.decode(code).shape == (3, 1, 8, 8)
    assert model.decode(torch.randn(2, 16), "w").shape == (2, 1, 8, 8)
    assert model.decode(torch.randn(2, 16), "z").shape == (2, 1, 8, 8)
    few, many = model.sample(2, seed=1), model.sample(7, seed=1)
    assert many.shape == (7, 1, 8, 8)
    torch.testing.assert_close(few, many[:2])
    assert not many.requires_grad
    assert not any(p.requires_grad for p in model.parameters())


def test_a_loaded_model_has_the_averaged_weights_of_the_checkpoint(run: Path) -> None:
    model = aestyle.load(str(run))
    stored = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    assert all(torch.equal(value, stored[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("method", METHODS)
def test_a_model_without_its_encoder_still_decodes(method: str, finished: Finished) -> None:
    model = aestyle.load(finished[method])
    assert model.sample(2).shape == (2, 1, 8, 8)
    assert model.decode(model.prior(2, seed=0), "z").shape == (2, 1, 8, 8)


@pytest.mark.parametrize(
    ("shape", "space", "says"),
    [
        ((2, 16), None, r"space w_plus has the shape \(N, 4, 16\), not \(2, 16\)"),
        ((2, 5, 16), "w_plus", r"\(N, 4, 16\), not \(2, 5, 16\)"),
        ((2, 4, 16), "w", r"space w has the shape \(N, 16\)"),
        ((2, 15), "z", r"space z has the shape \(N, 16\)"),
        ((2, 16), "s", r"space='s' is none of this model's spaces: z, w, w_plus"),
    ],
)
def test_decode_refuses_wrong_codes(shape: tuple[int, ...], space: str | None, says: str, run: Path) -> None:
    with pytest.raises(UserError, match=says):
        aestyle.load(run).decode(torch.zeros(shape), space)
