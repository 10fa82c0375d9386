"""Every panel of every paper's dashboard has something to show, which a run in W&B's offline mode proves."""

import json
import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import wandb
from PIL import Image

from aestyle.errors import UserError
from aestyle.studies.dashboards import AXIS, Dashboard
from aestyle.studies.filming import read_frame, spread
from aestyle.studies.sheets import can_write_mp4
from aestyle.studies.training import train
from tests.helpers import ROOT, answer
from tests.offline_wandb import files_of, history, media, records
from tests.tiny import compose_tiny

PAPERS = sorted(path.parent for path in (ROOT / "experiments").glob("*/dashboard.yaml"))
WANDB = ("logger=wandb", "logger.wandb.offline=true", "logger.wandb.artifacts=true", "callbacks=film")
OPTIONS = ("evaluate.every_kimg=0.016", "scale.beta_kimg=0", "batch_size=16")


def panels(node: Any) -> Iterator[dict[str, Any]]:
    """The panels of a workspace in JSON."""
    if isinstance(node, dict):
        if "viewType" in node:
            yield node
        for child in node.values():
            yield from panels(child)
    elif isinstance(node, list):
        for child in node:
            yield from panels(child)


@pytest.mark.slow
@pytest.mark.parametrize("paper", PAPERS, ids=lambda path: path.name)
def test_a_run_has_what_every_panel_shows(paper: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.setenv("WANDB_RUN_GROUP", f"{paper.name}/some run")
    dashboard = Dashboard.load(paper)
    metrics = "real_fd_efflite0" if dashboard.method == "overparam" else "rec_mse"
    options = [*WANDB, *OPTIONS, f"metrics=[{metrics}]", "dataset=orl_faces", "kimg=0.016"]
    train(compose_tiny(*options, f"method={dashboard.method}", f"run_dir={tmp_path}"), tmp_path)
    wandb.finish()

    files = files_of(tmp_path)
    rows = history(files)
    shown = media(rows)
    numbers = {name for row in rows for name, value in row.items() if isinstance(value, int | float)}
    assert all(AXIS in row for row in rows)
    for panel in dashboard.panels:
        assert set(panel.lines) <= numbers, panel
        assert set(panel.media) <= set(shown), panel
        assert not panel.match or [name for name in numbers if re.fullmatch(panel.match, name)], panel
    (film,) = {kind for name, kind in shown.items() if name.startswith("film/")}
    assert film == "video-file"
    assert {kind for name, kind in shown.items() if name.startswith("histogram/")} <= {"histogram"}

    found = [record for file in files for record in records(file)]
    assert {record.run.run_group for record in found if record.HasField("run")} == {f"{paper.name}/some run"}
    known = {u.key: json.loads(u.value_json) for r in found if r.HasField("config") for u in r.config.update}
    assert known["method"]["name"] == dashboard.method
    assert "version" in known["code"]
    (artifact,) = [record.artifact for record in found if record.HasField("artifact")]
    assert [entry.path for entry in artifact.manifest.contents] == ["last.ckpt"]


@pytest.mark.parametrize("paper", PAPERS, ids=lambda path: path.name)
def test_the_json_shows_what_the_layout_says(paper: Path) -> None:
    dashboard = Dashboard.load(paper)
    written = list(panels(json.loads((ROOT / "docs" / "dashboards" / f"{paper.name}.json").read_text())))
    told = {panel.title: (panel.lines, panel.media, panel.match, panel.log) for panel in dashboard.panels}
    read = {}
    for panel in written:
        c = panel["config"]
        media_keys, lines = tuple(c.get("mediaKeys", ())), tuple(c.get("metrics", ()))
        read[c["chartTitle"]] = (lines, media_keys, c.get("metricRegex", ""), c.get("yLogScale", False))
        assert media_keys or c["xAxis"] == AXIS
    assert read == told


@pytest.mark.parametrize("paper", PAPERS, ids=lambda path: path.name)
def test_wandbs_library_writes_the_very_json_without_a_network(
    paper: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("wandb_workspaces")
    monkeypatch.setattr("socket.socket.connect", None)
    assert answer("report", f"dashboard={paper}", f"output={tmp_path}").code == 0
    name = f"{paper.name}.json"
    assert (tmp_path / name).read_text() == (ROOT / "docs" / "dashboards" / name).read_text()


def test_mistakes_in_a_layout_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=r"dashboard\.yaml: there is no such file"):
        Dashboard.load(tmp_path)
    for panel in ("{title: a}", "{title: a, lines: [x], media: [y]}", "{lines: [x]}", "{title: a, line: [x]}"):
        (tmp_path / "dashboard.yaml").write_text(f"title: t\nmethod: m\nsections:\n  A:\n    - {panel}\n")
        with pytest.raises(UserError, match=r"dashboard\.yaml: cannot be understood"):
            Dashboard.load(tmp_path)
    (tmp_path / "dashboard.yaml").write_text("title: t\nmethod: m\nsections: {A: [{title: a, lines: [x]}]}\n")
    monkeypatch.setattr("aestyle.studies.dashboards.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install 'aestyle\[dashboards\]'"):
        Dashboard.load(tmp_path).to_json("me", "project")


# -- films -----------------------------------------------------------------------------------------------------------


def test_a_film_has_the_first_and_the_last_grid_and_even_sides(tmp_path: Path) -> None:
    paths = [tmp_path / f"{i}.png" for i in range(23)]
    assert spread(paths, 30) == paths
    chosen = spread(paths, 7)
    assert len(set(chosen)) == 7
    assert (chosen[0], chosen[-1]) == (paths[0], paths[-1])
    Image.fromarray(np.full((31, 701), 255, np.uint8)).save(paths[0])
    frame = read_frame(paths[0])
    assert frame.shape == (3, 22, 512)
    assert torch.equal(frame, torch.ones_like(frame))
    assert find_spec("av") is None or can_write_mp4()
