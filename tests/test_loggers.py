"""The loggers beside stats.jsonl write what they are given, on the kimg axis, and go on after a restart."""

import csv
import json
from pathlib import Path

import pytest
import wandb

from tests.helpers import FAST, answer
from tests.offline_wandb import blobs, files_of, history, records

RUN = (*FAST, "method=stylegan2", "scale.stats_kimg=0.004")


def train_twice(run_dir: Path, *options: str) -> None:
    """Four iterations in two starts."""
    for kimg in (0.008, 0.016):
        done = answer("train", *RUN, *options, f"kimg={kimg}", f"run_dir={run_dir}")
        assert done.code == 0, done


@pytest.fixture(scope="module")
def offline_files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The W&B files of a run in two starts."""
    run_dir = tmp_path_factory.mktemp("wandb") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WANDB_SILENT", "true")
        train_twice(run_dir, "logger=wandb", "logger.wandb.offline=true")
        wandb.finish()
    return files_of(run_dir)


def test_wandb_works_without_a_network_and_keeps_its_run_after_a_restart(offline_files: list[Path]) -> None:
    run_dir = offline_files[0].parents[2]
    ids = {record.run.run_id for file in offline_files for record in records(file) if record.HasField("run")}
    assert ids == {(run_dir / "wandb_id.txt").read_text().strip()}


def test_wandb_has_every_line_with_its_kimg_and_losses(offline_files: list[Path]) -> None:
    rows = history(offline_files)
    lines = [row for row in rows if "loss/D" in row]
    assert [row["progress/kimg"] for row in lines] == [0.004, 0.008, 0.012, 0.016]
    assert all({"loss/G", "score/real", "score/fake", "health/bad_steps"} <= set(row) for row in lines)
    pictures = [row for row in rows if "grids/samples/filenames" in row]
    assert [row["progress/kimg"] for row in pictures] == [0, 0.008, 0.016]  # before and at the end of each start
    for row in pictures:
        (name,) = row["grids/samples/filenames"]
        assert any(file.parent.joinpath("files", name).is_file() for file in offline_files)


def test_a_file_that_is_being_written_is_read_up_to_where_it_is_whole(
    offline_files: list[Path], tmp_path: Path
) -> None:
    """W&B's own process writes while the tests wait for its last record."""
    data, whole = offline_files[0].read_bytes(), list(blobs(offline_files[0]))
    counts = set()
    for length in range(7, len(data), 7):
        for tail in (b"", bytes(len(data) - length)):  # cut off, or room that is not filled yet
            (tmp_path / "cut").write_bytes(data[:length] + tail)
            read = list(blobs(tmp_path / "cut"))
            assert read == whole[: len(read)]
            counts.add(len(read))
    assert counts == set(range(len(whole)))


def test_wandb_draws_everything_over_kimg(offline_files: list[Path]) -> None:
    metrics = [record.metric for file in offline_files for record in records(file) if record.HasField("metric")]
    assert any(metric.glob_name == "*" and metric.step_metric == "progress/kimg" for metric in metrics)


def test_the_csv_logger_writes_a_row_a_line_of_statistics(tmp_path: Path) -> None:
    assert answer("train", *RUN, "kimg=0.012", "logger=csv", f"run_dir={tmp_path}").code == 0
    with (tmp_path / "csv" / "version_0" / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    stats = [json.loads(line) for line in (tmp_path / "stats.jsonl").read_text().splitlines()]
    assert [float(row["progress/kimg"]) for row in rows] == [line["kimg"] for line in stats]
    assert [float(row["loss/D"]) for row in rows] == pytest.approx([line["loss/D"] for line in stats])
    assert [int(row["step"]) for row in rows] == [4, 8, 12]


def test_the_csv_logger_keeps_the_rows_of_the_start_before(tmp_path: Path) -> None:
    train_twice(tmp_path, "logger=csv")
    steps = []
    for path in sorted(tmp_path.glob("csv/*/metrics.csv")):
        with path.open(newline="") as file:
            steps.append([int(row["step"]) for row in csv.DictReader(file)])
    assert steps == [[4, 8], [12, 16]]


def test_the_tensorboard_logger_writes_the_same_numbers(tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    train_twice(tmp_path, "logger=tensorboard")
    events = accumulator.EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    stats = [json.loads(line) for line in (tmp_path / "stats.jsonl").read_text().splitlines()]
    scalars = events.Scalars("loss/D")
    assert [event.step for event in scalars] == [4, 8, 12, 16]
    assert [event.value for event in scalars] == pytest.approx([line["loss/D"] for line in stats])


def test_the_runs_of_a_multirun_are_runs_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_SILENT", "true")
    assert answer("train", "-m", *RUN, "seed=0,1", "logger=wandb", "logger.wandb.offline=true").code == 0
    wandb.finish()
    own = {file.read_text().strip() for file in tmp_path.glob("runs/*/wandb_id.txt")}
    assert len(own) == 2
    assert {file.name.rpartition("-")[2] for file in tmp_path.glob("runs/*/wandb/offline-run-*")} == own
