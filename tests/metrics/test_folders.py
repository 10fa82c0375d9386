"""Two folders of pictures without a model, through the command."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.helpers import answer


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng()
    for name in ("real", "fake"):
        (tmp_path / name).mkdir()
        for i in range(12):
            Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(tmp_path / name / f"{i}.png")
    return tmp_path / "real", tmp_path / "fake"


def values(folder: Path) -> dict[str, float]:
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return {record["metric"]: record["value"] for record in map(json.loads, lines)}


def test_two_folders_are_compared_and_a_folder_is_at_zero_from_itself(folders, tmp_path: Path) -> None:
    real, fake = folders
    smaller = "metrics.kd_efflite0_all.subsets=3"
    answered = answer("evaluate", f"real={real}", f"fake={fake}", "metrics=[fd_efflite0_all,kd_efflite0_all]", smaller)
    assert answered.code == 0, answered
    apart = values(tmp_path)
    assert apart["fd_efflite0_all"] > 0
    assert answer("evaluate", f"real={real}", f"fake={real}", "metrics=[fd_efflite0_all]").code == 0
    assert abs(values(tmp_path)["fd_efflite0_all"]) < 1e-3 * apart["fd_efflite0_all"]
    record = json.loads((tmp_path / "metrics.jsonl").read_text().splitlines()[0])
    assert (record["checkpoint"], record["num_images"], record["kimg"]) == (str(fake), 12, None)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("real={real}", r"give either ckpt=.* or both real=<folder> and fake=<folder>"),
        ("real={real} fake={fake} ckpt=x", r"give either ckpt="),
        ("real={real} fake=nowhere", r"nowhere"),
        ("real={real} fake={fake} metrics=[fd_efflite0]", r"num_images=1000: .*fake holds 12 pictures"),
        ("real={real} fake={fake} metrics=[rec_mse]", r"train|measures a model"),
        ("real={real} fake={fake} metrics=[fid]", r"inception-2015-12-05.*download=true"),
    ],
)
def test_mistakes_are_one_line(folders, monkeypatch, tmp_path: Path, options: str, message: str) -> None:
    import re

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.delenv("AESTYLE_WEIGHTS", raising=False)
    given = options.format(real=folders[0], fake=folders[1]).split()
    extra = [] if "metrics" in options else ["metrics=[fd_efflite0_all]"]
    assert re.search(message, answer("evaluate", *given, *extra).line)
