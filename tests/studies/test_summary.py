"""What a sweep's page says, of runs that ended in any way."""

import json
import os
import random
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from omegaconf import OmegaConf
from PIL import Image

from aestyle.errors import UserError
from aestyle.studies.ending import Outcome, noted, read_note
from aestyle.studies.runs import differences, find_runs, read_run, styles
from tests.helpers import answer


class Page(HTMLParser):
    """A page as a browser reads it: its text, the cells of its table, and everything that it refers to."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.words: list[str] = []
        self.rows: list[list[str]] = []
        self.tags: list[str] = []
        self.references: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.references += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_data(self, data: str) -> None:
        self.words.append(data)
        if self.rows and self.rows[-1]:
            self.rows[-1][-1] += data

    @property
    def table(self) -> dict[str, dict[str, str]]:
        head, *rows = self.rows
        return {row[0]: dict(zip(head, row, strict=True)) for row in rows}


def write_run(folder: Path, config: dict[str, Any], kimg: float = 0.0, note: dict[str, Any] | None = None) -> Path:
    """A run folder with random statistics up to ``kimg``, and pictures."""
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(OmegaConf.to_yaml(OmegaConf.create({"kimg": 1, **config})))
    lines = [{"kimg": k / 4, "loss/D": random.random(), "score/real": 0.1} for k in range(1, round(4 * kimg) + 1)]
    (folder / "stats.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    if note:
        (folder / "state.json").write_text(json.dumps(note))
    for line in lines:
        path = folder / "samples" / f"samples-{line['kimg']:08.2f}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(np.full((8, 8, 3), round(100 * line["kimg"]), np.uint8)).save(path)
    return folder


def gone() -> int:
    """Number of a process that is no more."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


METHODS = [{"method": {"name": name, "size": size}} for name, size in (("a", 1), ("b", 2))]


def test_the_page_shows_every_run_and_why_it_did_not_finish_and_needs_no_other_file(tmp_path: Path) -> None:
    here = {"process": gone(), "host": os.uname().nodename}
    write_run(tmp_path / "done", METHODS[0], 1)
    write_run(tmp_path / "cpu" / "deep", METHODS[0], 1, {"outcome": "finished"})
    write_run(tmp_path / "dead", METHODS[0], 0.5, {"outcome": "running", **here})
    write_run(
        tmp_path / "bad <i>", METHODS[1], 0.25, {"outcome": "failed", "reason": "x=<script>alert(1)</script> & so"}
    )
    write_run(tmp_path / "going", METHODS[1], 0.5, {"outcome": "running", **here, "process": os.getpid()})
    refused = tmp_path / "refused"
    refused.mkdir()
    (refused / "state.json").write_text(json.dumps({"outcome": "failed", "reason": "no", "config": "kimg: 3"}))
    logged = write_run(tmp_path / "logged", METHODS[1])
    (logged / "study.log").write_text("Traceback (most recent call last):\n  File x\nValueError: of old\n")
    (tmp_path / "cut").mkdir()
    (tmp_path / "cut" / "config.yaml").write_text("kimg: [")

    said = answer("report", f"sweep={tmp_path}")
    assert said.code == 0, said
    page = Page(tmp_path / "report.html")
    states = {name: (row["state"], row["what happened"]) for name, row in page.table.items()}
    assert states == {
        "bad <i>": ("failed", "x=<script>alert(1)</script> & so"),
        "cpu/deep": ("finished", ""),
        "cut": ("killed", "it left no note of its end"),
        "dead": ("killed", "its process ended without a word"),
        "done": ("finished", ""),
        "going": ("running", ""),
        "logged": ("failed", "ValueError: of old"),
        "refused": ("failed", "no"),
    }
    assert "failed   bad <i>: x=<script>" in said.out
    assert page.table["dead"]["kimg"] == "0.5 of 1"
    assert page.table["refused"]["kimg"] == "0 of 3"
    assert "script" not in page.tags
    assert page.references
    assert all(reference.startswith("data:image/") for reference in page.references)
    assert page.tags.count("figure") == 5


def test_a_sweep_without_runs_and_several_questions_are_refused(tmp_path: Path) -> None:
    assert "there is no such folder" in answer("report", f"sweep={tmp_path / 'none'}").line
    assert "holds no run folder" in answer("report", f"sweep={tmp_path}").line
    assert "give one of run=" in answer("report").line
    assert "give one of run=" in answer("report", f"sweep={tmp_path}", f"run={tmp_path}").line


def test_only_options_that_others_do_not_determine_are_shown_as_different(tmp_path: Path) -> None:
    lrs = random.sample(range(1, 99), 8)
    for i, lr in enumerate(lrs):
        name = "ab"[i // 4]
        config = {
            "seed": i % 2,
            "method": {
                "name": name,
                "lr": lr,
                "depth": ord(name),
                "width": 5,
                "inner": {"lr": lr},
                "every": i // 2 % 2,
            },
            "dataset": {"name": "faces", "path": f"/somewhere/{i}"},
        }
        if name == "a":
            config["method"]["only_a"] = 3  # type: ignore[index]
        write_run(tmp_path / str(i), config)
    runs = find_runs(tmp_path)
    shown = differences(runs)
    assert list(shown) == ["method.name", "seed", "method.every", "method.lr"]
    assert shown["method.lr"] == [str(lr) for lr in lrs]
    assert styles(runs, {name: values for name, values in shown.items() if name != "method.lr"}) == [
        0,
        0,
        1,
        1,
        2,
        2,
        3,
        3,
    ]


def test_metrics_are_the_newest_and_curves_those_along_the_training(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", {"evaluate": {"best": "fd"}}, 1)
    lines = [{"metric": "fd", "split": "val", "value": v, "kimg": k} for k, v in ((0.25, 9.0), (0.5, 3.0), (1, 4.0))]
    lines += [{"metric": "fd", "split": "test", "value": 5.0, "kimg": 1, "checkpoint": "x"}]
    lines += [{"metric": "mse", "split": "test", "value": None, "kimg": 1, "checkpoint": "x"}]
    (run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = read_run(run)
    assert found.metrics == {"fd (val)": 4.0, "fd (test)": 5.0}
    assert found.curves()["metric/fd"] == [(0.25, 9.0), (0.5, 3.0), (1, 4.0)]
    assert set(found.curves()) == {"metric/fd", "loss/D"}
    assert found.picture("samples") == run / "samples" / "samples-00001.00.png"
    (run / "checkpoints").mkdir()
    (run / "checkpoints" / "best.ckpt").touch()
    assert found.picture("samples") == run / "samples" / "samples-00000.50.png"
    assert found.picture("reconstructions") is None


# -- notes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "outcome", "reason"),
    [
        (None, Outcome.FINISHED, ""),
        (UserError("x=1: no\n"), Outcome.FAILED, "x=1: no"),
        (ZeroDivisionError("by zero"), Outcome.FAILED, "ZeroDivisionError: by zero"),
        (SystemExit(128 + 15), Outcome.STOPPED, "by signal 15"),
        (KeyboardInterrupt(), Outcome.STOPPED, "by hand"),
    ],
)
def test_a_run_that_began_notes_how_it_ended(
    error: BaseException | None, outcome: Outcome, reason: str, tmp_path: Path
) -> None:
    def end() -> None:
        with noted(tmp_path / "run", lambda: "kimg: 1") as ending:
            ending.begin()
            ending.stopped = "by signal 15"  # counts only if it does stop
            now = read_note(tmp_path / "run")
            assert now is not None
            assert now.outcome == Outcome.RUNNING
            if error:
                raise error

    if error:
        with pytest.raises(type(error)):
            end()
    else:
        end()
    note = read_note(tmp_path / "run")
    assert note is not None
    assert (note.outcome, note.reason) == (outcome, reason)
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["state.json"]


def test_a_run_that_is_refused_leaves_nothing_and_spoils_nothing(tmp_path: Path) -> None:
    def refuse(run_dir: Path) -> None:
        with pytest.raises(UserError), noted(run_dir, lambda: ""):
            raise UserError("kimg=-1: no")

    refuse(tmp_path / "new")
    assert not (tmp_path / "new").exists()
    finished = write_run(tmp_path / "old", {}, 1, {"outcome": "finished"})
    refuse(finished)
    note = read_note(finished)
    assert note is not None
    assert note.outcome == Outcome.FINISHED
