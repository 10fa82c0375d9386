"""Evaluation along the training: it changes nothing, survives restarts, keeps the best and knows when to stop."""

import json
import math
import random
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import DictConfig, OmegaConf

from aestyle.engine.module import PhasedModule
from aestyle.metrics.identity import SameIdentity
from aestyle.metrics.recipe import Measurement, Recipe, Subject
from aestyle.metrics.reconstruction import ReconstructionMSE, ReconstructionPSNR
from aestyle.metrics.score import SampleScore
from aestyle.studies.monitoring import Standing
from aestyle.studies.training import train
from tests.helpers import FAST, answer, compose_train
from tests.tiny import REPRESENTATIVE, TINY, checkpoint, compose_tiny, differences, run_training, stats

STEP = 0.008
"""Thousand images an iteration of a tiny training."""
FEATURES = ("metrics=[fd_efflite0]", "metrics.fd_efflite0.num_images=20", "+metrics.fd_efflite0.reference_images=20")
METHODS_FROM_SCRATCH = [method for method in REPRESENTATIVE if method != "two_stage"]


@dataclass(frozen=True, kw_only=True)
class Scripted(Recipe):
    """Says what it was told for each iteration; draws from global generators, as no recipe should."""

    values: Sequence[float]

    def __call__(self, subject: Subject) -> Measurement:
        assert isinstance(subject.model, PhasedModule)
        torch.rand(3)
        value = self.values[round(subject.model.images_seen / 1000 / STEP)]
        return Measurement(self.name, value, self.split, 1)


class ScriptedScore(Scripted):
    higher_is_better = True


def scripted(values: Sequence[float], *overrides: str, kind: str = "Scripted", every: int = 1) -> DictConfig:
    """A tiny run whose metric ``it`` has ``values[i]`` after iteration i."""
    cfg = compose_tiny("method=stylegan2", "evaluate.best=it", f"evaluate.every_kimg={every * STEP}", *overrides)
    OmegaConf.set_struct(cfg, False)
    cfg.metrics = {"it": {"_target_": f"{__name__}.{kind}", "name": "it", "values": list(values)}}
    return cfg


def lines(run_dir: Path) -> list[dict[str, Any]]:
    """The lines of ``metrics.jsonl`` without what depends on the clock on the wall."""
    read = map(json.loads, (run_dir / "metrics.jsonl").read_text().splitlines())
    return [{key: value for key, value in line.items() if key != "seconds"} for line in read]


def assert_same_training(a: Path, b: Path) -> None:
    first, second = checkpoint(a), checkpoint(b)
    for run in (first, second):
        run["aestyle"].pop("config")
        run["callbacks"].pop("Evaluation")
    assert not differences(first, second)
    assert stats(a) == stats(b)


# -- the standing of a metric ----------------------------------------------------------------------------------------


def test_standing_equals_a_look_at_all_values() -> None:
    for _ in range(300):
        higher = random.random() < 0.5
        values = [random.choice([math.nan, *range(5)]) for _ in range(random.randrange(1, 12))]
        times = sorted(random.sample(range(1000), len(values)))
        standing = Standing("m", None, times[0], times[0])
        for at, value in zip(times, values, strict=True):
            standing = standing.after(value, at, higher)
        numbers = [value for value in values if not math.isnan(value)]
        best = (max if higher else min)(numbers) if numbers else None
        best_at = times[values.index(best)] if best is not None else times[0]
        assert standing == Standing("m", best, best_at, times[-1])
        for patience in range(0, 1000, 37):
            assert standing.is_stale(patience / 1000) == (times[-1] - best_at >= patience)
        assert not standing.is_stale(None)


def test_kinds_of_metrics_say_which_way_is_up() -> None:
    assert not ReconstructionMSE.higher_is_better
    assert all(kind.higher_is_better for kind in (ReconstructionPSNR, SampleScore, SameIdentity))


# -- measuring -------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS_FROM_SCRATCH)
def test_a_run_that_is_evaluated_equals_one_that_is_not(method: str, tmp_path: Path) -> None:
    options = (f"method={method}", "kimg=0.04")
    train(compose_tiny(*options), tmp_path / "without")
    train(compose_tiny(*options, "evaluate.every_kimg=0.012", *FEATURES), tmp_path / "with")
    assert_same_training(tmp_path / "without", tmp_path / "with")
    assert not (tmp_path / "without" / "metrics.jsonl").exists()
    assert [line["kimg"] for line in lines(tmp_path / "with")] == [0, 0.016, 0.024, 0.04]


@pytest.mark.slow
def test_a_recipe_that_draws_from_global_generators_changes_nothing_either(tmp_path: Path) -> None:
    train(compose_tiny("method=stylegan2", "kimg=0.032"), tmp_path / "without")
    train(scripted([3, 1, 2, 5, 4], "kimg=0.032"), tmp_path / "with")
    assert_same_training(tmp_path / "without", tmp_path / "with")


@pytest.mark.slow
def test_what_is_written_is_what_the_command_measures(tmp_path: Path) -> None:
    run = tmp_path / "run"
    args = (*FAST, "logger=csv", "kimg=0.008", "evaluate.every_kimg=0.004", "metrics=[rec_mse,rec_psnr]")
    out = answer("train", *args, "evaluate.split=val", f"run_dir={run}").out
    assert "0.008 kimg: rec_mse " in out
    assert "metric/rec_mse" in next(run.rglob("metrics.csv")).read_text().splitlines()[0]
    answer("evaluate", f"ckpt={run}", "metrics=[rec_mse,rec_psnr]", "split=val", "device=cpu")
    *along, mse, psnr = lines(run)
    assert [(line["metric"], line["kimg"]) for line in along[::2]] == [("rec_mse", kimg) for kimg in (0, 0.004, 0.008)]
    for mine, its in zip(along[-2:], (mse, psnr), strict=True):
        assert mine["checkpoint"] is None
        assert mine | {"checkpoint": its["checkpoint"], "value": 0} == its | {"value": 0}
        assert mine["value"] == pytest.approx(its["value"], rel=1e-6)


def test_a_set_of_metrics_or_a_single_one_can_be_named() -> None:
    assert set(compose_train("metrics=cpu").metrics) >= {"rec_mse", "fd_efflite0"}
    assert list(compose_train("metrics=rec_mse").metrics) == ["rec_mse"]
    assert "metrics" not in compose_train()


# -- the best one ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["Scripted", "ScriptedScore"])
def test_best_ckpt_is_where_the_metric_was_best(kind: str, tmp_path: Path) -> None:
    values = random.sample(range(100), 7)
    train(scripted(values, "kimg=0.048", kind=kind), tmp_path)
    best = (max if kind == "ScriptedScore" else min)(values)
    kept = torch.load(tmp_path / "checkpoints" / "best.ckpt", weights_only=True)
    at = round(1000 * STEP * values.index(best))
    assert kept["aestyle"]["images_seen"] == at
    assert kept["callbacks"]["Evaluation"]["standing"] == {"metric": "it", "value": best, "best_at": at, "now": at}
    previous = torch.load(tmp_path / "checkpoints" / "previous.ckpt", weights_only=True)
    assert previous["aestyle"]["images_seen"] == 24  # of last.ckpt, not of best.ckpt


def test_what_is_not_a_number_is_never_best(tmp_path: Path) -> None:
    train(scripted([math.nan] * 5, "kimg=0.032"), tmp_path)
    assert not (tmp_path / "checkpoints" / "best.ckpt").exists()
    assert [line["value"] for line in lines(tmp_path)] == [None] * 5


@pytest.mark.slow
def test_a_lost_end_is_repeated_without_a_trace(tmp_path: Path) -> None:
    values = [random.randrange(100) for _ in range(11)]
    straight, killed = tmp_path / "straight", tmp_path / "killed"
    train(scripted(values, "kimg=0.08"), straight)
    train(scripted(values, "kimg=0.056"), killed)
    (killed / "checkpoints" / "last.ckpt").unlink()  # a kill after 0.056 kimg leaves the one of 0.048
    (killed / "metrics.jsonl").open("a").write('{"metric": "other", "kimg": 0.056, "checkpoint": "x.ckpt"}\n{"metr')
    train(scripted(values, "kimg=0.08"), killed)
    assert [line for line in lines(killed) if line["metric"] == "it"] == lines(straight)
    assert [line["kimg"] for line in lines(killed) if line["metric"] == "other"] == [0.056]
    assert not differences(checkpoint(killed)["callbacks"], checkpoint(straight)["callbacks"])
    kept = [torch.load(run / "checkpoints" / "best.ckpt", weights_only=True) for run in (straight, killed)]
    assert not differences(kept[0]["state_dict"], kept[1]["state_dict"])


def test_a_run_that_was_killed_before_its_first_checkpoint_starts_anew(tmp_path: Path) -> None:
    train(scripted([1, 2, 3, 4], "kimg=0.016"), tmp_path)
    shutil.rmtree(tmp_path / "checkpoints")
    train(scripted([1, 2, 3, 4], "kimg=0.024"), tmp_path)
    assert [line["kimg"] for line in lines(tmp_path)] == [0, 0.008, 0.016, 0.024]


def test_another_metric_to_judge_by_starts_anew(tmp_path: Path) -> None:
    train(scripted([1, 2, 3, 4, 5], "kimg=0.016"), tmp_path)
    cfg = scripted([9, 9, 9, 8, 9], "kimg=0.032")
    cfg.metrics = {"other": cfg.metrics.it}
    cfg.metrics.other.name = cfg.evaluate.best = "other"
    train(cfg, tmp_path)
    standing = checkpoint(tmp_path)["callbacks"]["Evaluation"]["standing"]
    assert standing == {"metric": "other", "value": 8, "best_at": 24, "now": 32}


# -- stopping --------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_patience_ends_the_run_and_more_patience_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values = [9, 5, 6, 7, 5, 8, 8, 8, 8, 8, 8]
    patient = scripted(values, "kimg=0.08", "evaluate.patience_kimg=0.024")
    assert train(patient, tmp_path / "run") is not None
    assert "stopped early: it has not improved on 5 since 0.008 kimg" in capsys.readouterr().out
    assert checkpoint(tmp_path / "run")["aestyle"]["images_seen"] == 32
    assert train(patient, tmp_path / "run") is None
    said = capsys.readouterr().out
    assert "was stopped at 0.032 kimg, as it has not improved on 5 since 0.008 kimg: a larger evaluate.pat" in said
    train(scripted(values, "kimg=0.08", "evaluate.patience_kimg=0.04"), tmp_path / "run")
    assert checkpoint(tmp_path / "run")["aestyle"]["images_seen"] == 48
    train(scripted(values, "kimg=0.08"), tmp_path / "run")
    train(scripted(values, "kimg=0.08"), tmp_path / "straight")
    assert lines(tmp_path / "run") == lines(tmp_path / "straight")
    first, second = checkpoint(tmp_path / "run"), checkpoint(tmp_path / "straight")
    assert not differences(first["state_dict"], second["state_dict"])
    assert not differences(first["callbacks"], second["callbacks"])


def test_patience_is_counted_from_the_first_evaluation_where_there_never_was_a_number(tmp_path: Path) -> None:
    train(scripted([math.nan] * 11, "kimg=0.08", "evaluate.patience_kimg=0.024", every=2), tmp_path)
    assert checkpoint(tmp_path)["aestyle"]["images_seen"] == 32


# -- refused ---------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["evaluate.every_kimg=1"], r"evaluate\.every_kimg=1: name what to measure, as in metrics=\[rec_mse\]"),
        (["metrics=[rec_mse]"], r"only with evaluate\.every_kimg="),
        (["evaluate.best=rec_mse"], r"only with evaluate\.every_kimg="),
        (["evaluate.every_kimg=0", "metrics=[rec_mse]"], r"evaluate\.every_kimg=0: give a number above 0"),
        (["evaluate.every_kimg=often", "metrics=[rec_mse]"], r"evaluate\.every_kimg=often: give a number above 0"),
        (["evaluate.every_kimg=1", "metrics=[rec_mse]", "evaluate.best=psnr"], r"choose one of metrics=\[rec_mse\]"),
        (["evaluate.every_kimg=1", "metrics=[rec_mse]", "evaluate.patience_kimg=1"], r"as in evaluate\.best=rec_mse"),
        (["evaluate.every_kimg=1", "metrics=[rec_mse]", "evaluate.split=all"], r"evaluate\.split=all: choose one of"),
        (["evaluate.every_kimg=1", "metrics=[rec_mse]", "trainer.precision=64-true"], r"measured in 32 bits"),
        (["evaluate.every_kimg=1", "metrics=[rec_mes]"], r"metrics=rec_mes does not exist; .*rec_mse"),
        (["evaluate.every_kimg=1", "metrics=[rec_mse]", "method=stylegan2"], r"no encoder"),
        (
            ["evaluate.every_kimg=1", "metrics=[rec_mse]", "evaluate.split=val", "dataset.split.val=[]"],
            r"val split is empty",
        ),
    ],
)
def test_what_cannot_be_measured_is_refused_in_one_line(options: list[str], message: str, tmp_path: Path) -> None:
    line = answer("train", *FAST, *options, f"run_dir={tmp_path / 'run'}").line
    assert re.search(message, line), line


def test_what_is_measured_is_no_part_of_what_a_run_is() -> None:
    measured = compose_train("evaluate.every_kimg=1", "metrics=[rec_mse]", "evaluate.best=rec_mse")
    assert measured.run_dir == compose_train().run_dir


# -- several processes -----------------------------------------------------------------------------------------------


@pytest.mark.ddp
@pytest.mark.slow
def test_two_processes_measure_and_stop_together(tmp_path: Path) -> None:
    options = [*TINY, "method=joint_ae", "batch_size=16", "kimg=0.8", "evaluate.every_kimg=0.016", "metrics=[rec_mse]"]
    options += ["evaluate.best=rec_mse", "evaluate.patience_kimg=0.016", "method.lr=0.5", "method.max_bad_steps=1000"]
    output = run_training(*options, "trainer=ddp_cpu", f"run_dir={tmp_path / 'two'}")
    assert output.count("stopped early: rec_mse has not improved on") == 1
    assert checkpoint(tmp_path / "two")["aestyle"]["images_seen"] < 800
    train(compose_train(*options), tmp_path / "one")
    one, two = lines(tmp_path / "one"), lines(tmp_path / "two")
    assert one[0]["value"] == pytest.approx(two[0]["value"], rel=1e-6)
    assert [line["num_images"] for line in two] == [40] * len(two)
