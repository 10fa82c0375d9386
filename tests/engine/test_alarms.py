"""Warnings about collapse: once for every time, and never about runs that are well."""

import json
import random
from pathlib import Path
from typing import Any

import pytest
import torch

from aestyle.engine.callbacks.alarms import JUDGES, Alarms
from tests.engine.test_callbacks import feed, stand_ins
from tests.helpers import FAST, answer

WELL = {
    "loss/D": 1.1,
    "score/real": 0.4,
    "score/fake": -0.6,
    "health/sample_spread": 0.5,
    "health/code_spread": 0.4,
    "latent/sigma": 0.3,
    "health/beta": 3.0,
    "health/ada_p": 0.2,
}
ILL: dict[str, dict[str, float]] = {
    "d_wins": {"loss/D": 0.02, "score/real": 5.0, "score/fake": -4.5},
    "d_loses": {"loss/D": 2.2, "score/real": -0.5, "score/fake": 0.6},
    "same_samples": {"health/sample_spread": 0.01},
    "flat_codes": {"health/code_spread": 1e-4},
    "no_sigma": {"latent/sigma": 1e-3},
    "beta_at_bound": {"health/beta": 1e4},
    "ada_at_bound": {"health/ada_p": 0.1, "health/ada_p_D2": 1.0},
}


def run(alarms: Alarms, windows: list[dict[str, float]], start: int = 0) -> list[set[str]]:
    """Which alarms are on behind each window of five iterations of ten images; the values wobble."""
    trainer, method = stand_ins(Path())
    method.images_seen, on = start, []
    for values in windows:
        feed(alarms, trainer, method, [{k: v * random.uniform(0.999, 1) for k, v in values.items()} for _ in range(5)])
        on.append({n.removeprefix("health/alarm_") for n, v in method.batch_stats.items() if "alarm_" in n and v == 1})
    return on


def test_every_alarm_has_a_case() -> None:
    assert set(ILL) == set(JUDGES)


@pytest.mark.parametrize("name", ILL)
def test_an_alarm_warns_once_until_it_is_over(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    well, ill = WELL, {**WELL, **ILL[name]}
    assert run(Alarms(0.05), [well, ill, ill, well, ill]) == [set(), {name}, {name}, set(), {name}]
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("0.1 kimg: warning: ")
    assert "over 0.05 kimg (docs/health.md)" in lines[0]
    assert next(iter(ILL[name])).split("/")[0] in lines[0]


@pytest.mark.parametrize("name", ILL)
def test_an_alarm_can_be_switched_off_and_what_is_not_measured_is_not_judged(name: str) -> None:
    assert run(Alarms(0.05, **{name: None}), [{**WELL, **ILL[name]}]) == [set()]
    assert run(Alarms(0.05), [{"loss/pixel": 0.1}, {**WELL, **ILL[name]}, {"loss/pixel": 0.1}])[1:] == [{name}, {name}]


def test_a_critic_of_wassersteins_kind_never_wins() -> None:
    for loss in (-20.0, -1.0, 0.0, 0.05):
        lead = -loss + random.uniform(0, 1)
        assert run(Alarms(0.05), [{"loss/D": loss, "score/real": lead / 2, "score/fake": -lead / 2}]) == [set()]


def test_a_draw_is_no_defeat_but_an_answer_that_never_changes_is() -> None:
    draw = [{"loss/D": 1.386, "score/real": x, "score/fake": 0.0} for x in (0.01, -0.01, 0.02, -0.02, 0.0)]
    trainer, method = stand_ins(Path())
    feed(alarms := Alarms(0.05), trainer, method, draw)
    assert not alarms.on
    feed(alarms, trainer, method, [{"loss/D": 1.386, "score/real": 0.3, "score/fake": 0.3}] * 5)
    assert alarms.on == {"d_loses": True}


def test_a_restart_in_a_window_changes_nothing() -> None:
    values = [{**WELL, **ILL[random.choice(list(ILL))]} for _ in range(12)]
    ends: list[Any] = []
    for cut in (12, random.randrange(1, 12)):
        trainer, method = stand_ins(Path())
        feed(first := Alarms(0.05), trainer, method, [dict(value) for value in values[:cut]])
        second = Alarms(0.05)
        second.load_state_dict(json.loads(json.dumps(first.state_dict())))
        feed(second, trainer, method, [dict(value) for value in values[cut:]])
        ends.append(second.state_dict())
    assert ends[0] == ends[1]


@pytest.mark.slow
def test_a_run_with_a_dead_generator_warns_and_writes_it_down(tmp_path: Path) -> None:
    """Its thresholds are met by hand: samples of a network this young are all but the same."""
    options = ("method=joint_ae", "scale.stats_kimg=0.004", "scale.grid_kimg=0.004", "scale.checkpoint_kimg=0.008")
    limits = ("callbacks.alarms.same_samples=1000", "callbacks.alarms.flat_codes=1000")
    done = answer("train", *FAST, *options, *limits, "kimg=0.016", f"run_dir={tmp_path}")
    assert done.code == 0
    assert done.out.count("0.008 kimg: warning: samples are nearly the same: health/sample_spread is ") == 1
    assert done.out.count("warning: most dimensions of the codes") == 1
    lines = [json.loads(line) for line in (tmp_path / "stats.jsonl").read_text().splitlines()]
    assert ["health/alarm_same_samples" in line for line in lines] == [False, True, True, True]
    assert all(line["health/sample_spread"] > 0 and line["health/code_spread"] > 0 for line in lines)
    kept = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)["callbacks"]["Alarms"]
    assert kept["on"] == {"same_samples": True, "flat_codes": True}
