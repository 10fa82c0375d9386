"""Curves, pictures and the table of a run."""

import json
import random
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console

import aestyle
from aestyle.data.transforms import to_float
from aestyle.engine.callbacks.grids import beside, save_grid
from aestyle.studies.loading import load_data, load_run
from aestyle.studies.report import enlarged, newest, read_lines, results_table, training_curves
from aestyle.studies.training import train
from tests.helpers import answer
from tests.tiny import compose_tiny

PICTURES = ("curves.png", "reconstructions.png", "samples.png")


def tiny_run(folder: Path, *options: str) -> Path:
    train(compose_tiny("dataset=orl_faces", "kimg=0.016", f"run_dir={folder}", *options), folder)
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_run(tmp_path_factory.mktemp("runs") / "a run", "method=joint_ae")


def pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB"))


def record(metric: str, value: float | None, split: str = "test", kimg: float = 1.0) -> dict[str, Any]:
    return {"metric": metric, "value": value, "split": split, "num_images": 40, "kimg": kimg, "seconds": 1.0}


def rows(records: list[dict[str, Any]]) -> dict[str, list[str]]:
    """The table's cells by metric, as a reader sees them."""
    console = Console(file=StringIO(), record=True, width=120)
    console.print(results_table(records))
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in console.export_text().splitlines()]
    return {row[0]: row[1:] for row in cells if row}


# -- the command -----------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_draws_the_run(run: Path, tmp_path: Path) -> None:
    mse, mean = sorted(random.uniform(0.01, 1) for _ in range(2))
    lines = [json.dumps(record(*facts)) for facts in (("rec_mse", 9.0), ("mse_mean_image", mean), ("rec_mse", mse))]
    (run / "metrics.jsonl").write_text("\n".join(lines))
    said = answer("report", f"run={run}")
    assert said.code == 0, said
    assert f"{mean / mse:.2f}" in said.out
    assert all((run / name).exists() and name in said.out for name in PICTURES)
    assert Image.open(run / "curves.png").width == 1200

    model, cfg, info = load_run(run)
    x = to_float(load_data(cfg, info).images("test").batch(range(40)))
    save_grid(enlarged(beside(x, model.decode(model.encode(x)))), tmp_path / "rec.png")
    save_grid(enlarged(model.sample(64, seed=0)), tmp_path / "samples.png")
    for mine, drawn in (("rec.png", PICTURES[1]), ("samples.png", PICTURES[2])):
        difference = np.abs(pixels(tmp_path / mine).astype(int) - pixels(run / drawn))
        assert difference.max() <= 1  # of 255: batches of another size round differently


@pytest.mark.slow
def test_says_that_nothing_was_measured(run: Path) -> None:
    (run / "metrics.jsonl").unlink(missing_ok=True)
    assert "python -m aestyle.evaluate" in answer("report", f"run={run}").out


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "reason"),
    [(["method=stylegan2"], "no encoder"), (["method=joint_ae", "dataset.split.test=[]"], "no test split")],
)
def test_leaves_out_what_has_no_meaning(tmp_path: Path, options: list[str], reason: str) -> None:
    said = answer("report", f"run={tiny_run(tmp_path, *options)}")
    assert said.code == 0
    assert reason in said.out
    assert [name for name in PICTURES if (tmp_path / name).exists()] == ["curves.png", "samples.png"]


def test_refusals(run: Path, tmp_path: Path) -> None:
    assert "no such run folder" in answer("report", f"run={tmp_path / 'none'}").line
    (tmp_path / "checkpoints").symlink_to(run / "checkpoints")
    assert "no stats.jsonl" in answer("report", f"run={tmp_path}").line
    (tmp_path / "stats.jsonl").write_text("")
    assert "no stats.jsonl" in answer("report", f"run={tmp_path}").line


def test_leaves_the_run_as_it_was(run: Path) -> None:
    before = aestyle.load(run).state_dict()
    stats = (run / "stats.jsonl").read_bytes()
    assert answer("report", f"run={run}").code == 0
    assert (run / "stats.jsonl").read_bytes() == stats
    assert all(torch.equal(value, before[key]) for key, value in aestyle.load(run).state_dict().items())


# -- its parts -------------------------------------------------------------------------------------------------------


def test_every_statistic_is_drawn_where_it_belongs() -> None:
    panels = {
        "losses": {"loss/D", "loss/r1", "loss/pixel"},
        "discriminator scores": {"score/real", "score/fake", "score/rec"},
        "beta and path length": {"health/beta", "health/path_length"},
        "gradient norms": {"grad_norm/D", "grad_norm/AE"},
    }
    names = set().union(*panels.values())
    lines = [
        {"kimg": i / 4, "seconds": 3.0, **{name: random.uniform(0.1, 5) for name in names if random.random() < 0.7}}
        for i in range(60)
    ]
    axes = training_curves(lines).axes
    assert [ax.get_title() for ax in axes] == list(panels)
    for ax in axes:
        names = panels[ax.get_title()]
        drawn = {line.get_label(): line.get_xydata() for line in ax.get_lines()}
        assert set(drawn) == {name.partition("/")[2] for name in names}
        for name in names:
            expected = [(line["kimg"], line[name]) for line in lines if name in line]
            np.testing.assert_allclose(drawn[name.partition("/")[2]], expected)


@pytest.mark.parametrize(
    "line",
    [{"kimg": 1.0}, {"kimg": 1.0, "loss/D": float("nan")}, {"kimg": 0.1, "loss/D": 0.0, "score/real": -1.0}],
)
def test_odd_statistics_can_be_drawn(line: dict[str, float], tmp_path: Path) -> None:
    training_curves([line]).savefig(tmp_path / "curves.png")
    assert Image.open(tmp_path / "curves.png").width == 1200


def test_a_line_that_was_cut_short_is_left_out(tmp_path: Path) -> None:
    lines = [{"kimg": float(i)} for i in range(random.randint(1, 9))]
    (tmp_path / "stats.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"kimg": 1')
    assert read_lines(tmp_path / "stats.jsonl") == lines
    assert read_lines(tmp_path / "none.jsonl") == []


def test_the_newest_record_of_each_metric_and_split() -> None:
    old = [record(metric, 1.0, split) for metric in "abc" for split in ("val", "test")]
    new = [record("b", 2.0, "test"), record("d", 3.0)]
    expected = {(r["metric"], r["split"]): r for r in old + new}
    assert newest(old + new) == list(expected.values())
    assert newest(old + new)[3] == new[0]


def test_only_squared_errors_are_put_beside_the_mean_image() -> None:
    mean, mse, pca = (random.uniform(0.1, 1) for _ in range(3))
    metrics = {"rec_mse": mse, "mse_pca8": pca, "fd_x": 3.0, "rec_psnr": None, "mse_mean_image": mean}
    shown = rows([record(name, value) for name, value in metrics.items()])
    ratio = {name: shown[name][1] for name in metrics}
    assert ratio == {
        "rec_mse": f"{mean / mse:.2f}",
        "mse_pca8": f"{mean / pca:.2f}",
        "fd_x": "",
        "rec_psnr": "",
        "mse_mean_image": "",
    }
    assert shown["rec_mse"][0] == f"{mse:.4g}"
    assert shown["rec_psnr"][0] == "-"


def test_a_mean_image_of_another_split_is_no_yardstick() -> None:
    shown = rows([record("rec_mse", 0.5, "val"), record("mse_mean_image", 1.0, "test")])
    assert shown["rec_mse"][1] == ""
    assert len(rows([record("rec_mse", 0.5)])["rec_mse"]) == len(shown["rec_mse"]) - 1


def test_small_pictures_are_enlarged_without_a_change() -> None:
    images = torch.rand(2, 3, 40, 40)
    big = enlarged(images, 96)
    assert big.shape == (2, 3, 80, 80)
    assert torch.equal(big[:, :, ::2, ::2], images)
    assert torch.equal(big[:, :, 1::2, 1::2], images)
    assert torch.equal(enlarged(images, 30), images)
