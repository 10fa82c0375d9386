"""A training that is aborted leaves what it takes to repeat its last iteration."""

import random
from pathlib import Path

import pytest
import torch
from torch import Tensor

from aestyle.engine.phases import Step
from aestyle.methods.stylegan2 import StyleGAN2
from tests.helpers import FAST, answer
from tests.tiny import checkpoint, differences

RUN = (*FAST, "method=stylegan2", "scale.checkpoint_kimg=0.004", "method.max_bad_steps=3", "kimg=1")
"""Every iteration leaves a checkpoint: the last one is where the failing iteration began."""

WILD = "method.lr=1e30"
"""No network stays finite with such steps."""


def poison(monkeypatch: pytest.MonkeyPatch, first: int) -> None:
    """Makes G's gradients, but not its loss, no numbers from this iteration on."""
    sound = StyleGAN2.generator_loss

    def loss(self: StyleGAN2, step: Step) -> Tensor:
        value = sound(self, step)
        strength = self.synthesis.to_rgbs[0].bias if self.batches_seen >= first else value.new_zeros(1)
        return value + (strength * 0).sum().sqrt()  # the root has no slope at 0

    monkeypatch.setattr(StyleGAN2, "generator_loss", loss)


def test_the_bundle_holds_the_state_before_the_failing_iteration_and_replays(tmp_path: Path) -> None:
    done = answer("train", *RUN, WILD, f"run_dir={tmp_path}")
    assert done.code == 1
    assert f"python -m aestyle.replay run_dir={tmp_path} repeats the failing iteration" in done.out
    bundle = torch.load(tmp_path / "crash" / "iteration.ckpt", weights_only=True)
    last = checkpoint(tmp_path)
    for key in ("state_dict", "optimizer_states", "aestyle"):
        assert not differences(bundle[key], last[key]), key
    assert bundle["batch"]["image"].shape == (4, 1, 8, 8)
    again = answer("replay", f"run_dir={tmp_path}")
    assert again.code == 0, again
    assert "reproduced\n" in again.out
    assert again.out.count(bundle["trouble"]["parameter"].split(".")[0]) >= 2
    assert "all was finite before" in again.out


@pytest.mark.slow
def test_what_does_not_happen_again_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        poison(patch, random.randrange(3))
        assert answer("train", *RUN, f"run_dir={tmp_path}").code == 1
        assert answer("replay", f"run_dir={tmp_path}").code == 0
    moved = tmp_path / "elsewhere é.ckpt"
    (tmp_path / "crash" / "iteration.ckpt").rename(moved)
    again = answer("replay", f"crash={moved}")
    assert again.code == 1
    assert "not reproduced" in again.out
    trouble = torch.load(moved, weights_only=True)["trouble"]
    assert trouble == {"phase": "G", "loss": "", "parameter": "synthesis.to_rgbs.0.bias"}


@pytest.mark.slow
def test_where_nothing_can_be_written_a_line_says_so(tmp_path: Path) -> None:
    (tmp_path / "crash").touch()
    done = answer("train", *RUN, WILD, f"run_dir={tmp_path}")
    assert done.code == 1
    assert "what the failing iteration started from is lost: " in done.out
    assert done.err.count("\n") == 1
    assert "training aborted" in done.err


def test_replay_needs_a_crash(tmp_path: Path) -> None:
    assert "only a training that was aborted leaves one" in answer("replay", f"run_dir={tmp_path}").line
    assert "give one of run_dir=" in answer("replay").line


def test_a_bad_step_leaves_no_trace_in_the_methods_own_statistics(monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.methods.test_every_method import batch, make

    method = make("stylegan2")
    before = method.path_mean.clone()  # type: ignore[union-attr,operator]
    images = batch(method)
    for p in method.synthesis.parameters():  # type: ignore[union-attr]
        p.data *= float("nan")
    method.training_step(images, 0)
    assert method.trouble is not None
    assert torch.equal(method.path_mean, before)  # type: ignore[arg-type]
