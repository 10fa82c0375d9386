"""What happens around the iterations."""

import json
import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from aestyle.engine.callbacks import Cadence, method_of
from aestyle.engine.callbacks.grids import Grids, beside
from aestyle.engine.callbacks.stats import Stats, keep_until
from aestyle.engine.phases import Step
from aestyle.methods.stylegan2 import StyleGAN2
from tests.helpers import FAST, answer, write_pictures

RUN = (*FAST, "method=stylegan2", "scale.stats_kimg=0.004")


# -- cadence ---------------------------------------------------------------------------------------------------------


def test_a_cadence_is_due_once_for_every_interval_whatever_the_batches() -> None:
    for _ in range(50):
        interval = random.randrange(1, 500)
        cadence, at, times = Cadence(interval / 1000), 0, []
        while at < 3000:
            step = random.randrange(1, interval + 1)
            if cadence.due(at, at + step):
                times.append(at + step)
            at += step
        assert [time // interval for time in times] == list(range(1, at // interval + 1))


def test_a_cadence_knows_nothing_of_restarts() -> None:
    cuts = sorted(random.sample(range(1, 10_000), 300))
    pairs = list(zip([0, *cuts], cuts, strict=False))
    whole, halves = Cadence(0.25), [Cadence(0.25), Cadence(0.25)]
    assert [whole.due(*pair) for pair in pairs] == [halves[i % 2].due(*pair) for i, pair in enumerate(pairs)]


@pytest.mark.parametrize("every_kimg", [0.1, 0.2, 0.3, 0.6, 0.7, 1.1])
def test_intervals_that_binary_numbers_do_not_hold_are_still_met_exactly(every_kimg: float) -> None:
    cadence, every = Cadence(every_kimg), round(every_kimg * 1000)
    for multiple in range(1, 200):
        assert cadence.due(multiple * every - 1, multiple * every)
        assert not cadence.due(multiple * every, multiple * every + 1)


def test_callbacks_need_the_clock() -> None:
    with pytest.raises(TypeError, match="Linear is not a PhasedModule"):
        method_of(torch.nn.Linear(1, 1))  # type: ignore[arg-type]


# -- statistics ------------------------------------------------------------------------------------------------------


def stand_ins(folder: Path) -> tuple[Any, Any]:
    """A trainer and a method with nothing but what the statistics look at."""
    method = object.__new__(StyleGAN2)
    torch.nn.Module.__init__(method)
    method.images_seen, method.images_before, method.batch_stats = 0, 0, {}
    return SimpleNamespace(is_global_zero=True, default_root_dir=str(folder), loggers=[]), method


def feed(stats: Stats, trainer: Any, method: Any, values: list[dict[str, float]]) -> None:
    for value in values:
        method.images_before = method.images_seen
        method.images_seen += 10
        method.batch_stats = value
        stats.on_train_batch_end(trainer, method, None, None, 0)


def written(folder: Path) -> list[dict[str, float]]:
    times = ("seconds", "images_per_second")
    lines = map(json.loads, (folder / "stats.jsonl").read_text().splitlines())
    return [{key: value for key, value in line.items() if key not in times} for line in lines]


def random_values(n: int) -> list[dict[str, float]]:
    """What iterations record; lazy regularisers only now and then."""
    return [{"loss/D": random.random(), **({"loss/r1": random.random()} if i % 3 == 0 else {})} for i in range(n)]


def test_a_line_holds_the_mean_of_each_value_since_the_line_before(tmp_path: Path) -> None:
    trainer, method = stand_ins(tmp_path)
    stats, values = Stats(0.05), random_values(10)
    stats.on_train_start(trainer, method)
    feed(stats, trainer, method, values)
    for line, part in zip(written(tmp_path), (values[:5], values[5:]), strict=True):
        for name in ("loss/D", "loss/r1"):
            of_name = [value[name] for value in part if name in value]
            assert line[name] == pytest.approx(sum(of_name) / len(of_name))


def test_statistics_cut_by_a_restart_are_those_of_an_uncut_run(tmp_path: Path) -> None:
    values = random_values(17)
    for folder, cut in ((tmp_path / "whole", 17), (tmp_path / "cut", random.randrange(1, 17))):
        folder.mkdir()
        trainer, method = stand_ins(folder)
        stats = Stats(0.05)
        stats.on_train_start(trainer, method)
        feed(stats, trainer, method, values[:cut])
        stats.on_train_end(trainer, method)
        saved, images_seen = json.loads(json.dumps(stats.state_dict())), method.images_seen
        trainer, method = stand_ins(folder)
        method.images_seen = images_seen
        stats = Stats(0.05)
        stats.load_state_dict(saved)
        stats.on_train_start(trainer, method)
        feed(stats, trainer, method, values[cut:])
        stats.on_train_end(trainer, method)
    assert written(tmp_path / "whole") == written(tmp_path / "cut")


def test_the_saved_sums_are_a_copy() -> None:
    stats = Stats(1)
    stats.sums = {"a": [1.0, 2.0]}
    saved = stats.state_dict()
    stats.sums["a"][0] = 5.0
    assert saved == {"sums": {"a": [1.0, 2.0]}}


def test_lines_newer_than_the_checkpoint_go_and_so_does_half_a_line(tmp_path: Path) -> None:
    path = tmp_path / "stats.jsonl"
    count = random.randrange(3, 20)
    lines = [json.dumps({"kimg": i / 10, "loss/D": random.random()}) + "\n" for i in range(count)]
    at = random.randrange(count - 1)
    for inclusive in (True, False):
        path.write_text("".join(lines) + lines[0][: random.randrange(1, len(lines[0]) - 2)])
        keep_until(path, at / 10, inclusive)
        assert path.read_text() == "".join(lines[: at + inclusive])
        assert [file.name for file in tmp_path.iterdir()] == ["stats.jsonl"]
    keep_until(tmp_path / "none.jsonl", 1.0)
    assert not (tmp_path / "none.jsonl").exists()


@pytest.mark.parametrize("half", ["12", '"word"', "null", "{}", '{"loss": 1}'])
def test_a_line_that_is_none_of_ours_goes_too(half: str, tmp_path: Path) -> None:
    path = tmp_path / "stats.jsonl"
    path.write_text('{"kimg": 0.5}\n' + half)
    keep_until(path, 1.0)
    assert path.read_text() == '{"kimg": 0.5}\n'


# -- grids -----------------------------------------------------------------------------------------------------------


def test_the_fixed_real_images_survive_a_restart_and_a_change_of_the_data(tmp_path: Path) -> None:
    pictures = write_pictures(tmp_path / "in", *(f"{i}.png" for i in range(9)))
    run = tmp_path / "run"
    command = (*FAST, "dataset=folder", f"dataset.path={pictures}", "dataset.num_workers=0", "method.perceptual=null")
    assert answer("train", *command, f"run_dir={run}").code == 0
    before = fixed_images(run)
    assert 0 < len(before) <= 9
    write_pictures(pictures, *(f"{i}.png" for i in range(9)), seed=1)
    assert answer("train", *command, "kimg=0.016", f"run_dir={run}").code == 0
    assert torch.equal(fixed_images(run), before)


def fixed_images(run: Path) -> Tensor:
    callbacks = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["callbacks"]
    (state,) = (state for name, state in callbacks.items() if "Grids" in name)
    return state["real"]  # type: ignore[no-any-return]


def test_the_fixed_images_come_back_from_the_state(tmp_path: Path) -> None:
    grids, again = Grids(1.0), Grids(1.0)
    grids.real = torch.randint(0, 256, (3, 1, 8, 8), dtype=torch.uint8)
    again.load_state_dict(grids.state_dict())
    assert again.real is not None
    assert torch.equal(again.real, grids.real)


def test_every_row_of_originals_is_followed_by_its_reconstructions() -> None:
    for count in (1, 7, 8, 9, 20):
        x = torch.arange(count).float().view(count, 1, 1, 1)
        rows = beside(x, x + 100).flatten().split(8) if count % 8 == 0 else None
        flat = beside(x, x + 100).flatten().tolist()
        expected = [
            v
            for i in range(0, count, 8)
            for part in (range(i, min(i + 8, count)),)
            for v in [*part, *(p + 100 for p in part)]
        ]
        assert flat == expected
        assert rows is None or all(torch.equal(rows[i + 1], rows[i] + 100) for i in range(0, len(rows), 2))


# -- not a number ----------------------------------------------------------------------------------------------------


def poison(monkeypatch: pytest.MonkeyPatch, batches: range) -> None:
    """Makes D's loss not a number in these iterations."""
    sound = StyleGAN2.discriminator_loss

    def loss(self: StyleGAN2, step: Step) -> Tensor:
        value = sound(self, step)
        return value * float("nan") if self.batches_seen in batches else value

    monkeypatch.setattr(StyleGAN2, "discriminator_loss", loss)


def test_a_bad_batch_leaves_all_weights_finite_and_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bad = random.randrange(4)
    poison(monkeypatch, range(bad, bad + 1))
    assert answer("train", *RUN, "kimg=0.016", f"run_dir={tmp_path}").code == 0
    checkpoint = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)
    assert all(value.isfinite().all() for value in checkpoint["state_dict"].values())
    assert checkpoint["aestyle"]["bad_steps"] == 1
    assert checkpoint["aestyle"]["bad_steps_in_a_row"]["D"] == int(bad == 3)
    counted = [line["health/bad_steps"] for line in written(tmp_path)]
    assert counted == [float(i >= bad) for i in range(4)]


def test_too_many_bad_steps_in_a_row_end_the_training_with_code_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of D alone: what the other phases do is none of this test's business."""
    monkeypatch.setattr(StyleGAN2, "phases", StyleGAN2.discriminator_phases)
    poison(monkeypatch, range(2, 1000))
    args = ("method.r1=null", "method.max_bad_steps=3", "kimg=1")
    done = answer("train", *RUN, *args, f"run_dir={tmp_path}")
    assert done.code == 1
    assert done.err.count("\n") == 1
    assert "training aborted at 0.016 kimg: the gradients of phase D were not finite 3 times in a row" in done.err
    assert "method.lr" in done.err


# -- progress --------------------------------------------------------------------------------------------------------


def test_without_a_terminal_progress_is_plain_lines_with_speed_and_time_left(tmp_path: Path) -> None:
    done = answer("train", *RUN, "callbacks.progress.every_seconds=0", f"run_dir={tmp_path}")
    assert "\x1b" not in done.out
    lines = [line for line in done.out.splitlines() if "/0.008 kimg" in line]
    assert [line.split("/")[0] for line in lines] == ["0.00", "0.01"]
    assert all("images/s" in line and "s left" in line and "loss/D" in line for line in lines)


def test_progress_lines_come_now_and_then_only(tmp_path: Path) -> None:
    done = answer("train", *RUN, "callbacks.progress.every_seconds=1000", f"run_dir={tmp_path}")
    assert "images/s" not in done.out
