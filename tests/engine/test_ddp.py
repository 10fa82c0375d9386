"""Two gloo processes: equal to one process, equal to each other, and alike in every decision."""

from pathlib import Path

import pytest
import torch

from tests.engine.ranks import check_on_two_ranks
from tests.methods.test_every_method import ADA
from tests.tiny import REPRESENTATIVE, STYLEGANS, TINY, checkpoint, compose_tiny, init_options, run_training

pytestmark = [pytest.mark.ddp, pytest.mark.slow]


@pytest.mark.parametrize(
    ("method", "augment"),
    [*((method, "") for method in REPRESENTATIVE), pytest.param("joint_ae", ADA, id="joint_ae-ada")],
)
def test_two_processes_equal_one(method: str, augment: str, tmp_path: Path) -> None:
    """Five batches of 16 with R1, path length, beta and EMA, in float64: the same numbers within 1e-8."""
    options = [
        *TINY,
        f"method={method}",
        *augment.split(),
        *init_options(method, tmp_path / "generator", *TINY),
        "batch_size=16",
        "kimg=0.08",
        "trainer.precision=64-true",
        *(["method.r1.every=2"] if method in STYLEGANS else []),
    ]
    if "perceptual" in compose_tiny(f"method={method}").method:
        options += ["method.perceptual=null"]  # the feature network computes in float32
    run_training(*options, f"run_dir={tmp_path / 'one'}")
    run_training(*options, "trainer=ddp_cpu", f"run_dir={tmp_path / 'two'}")
    one, two = checkpoint(tmp_path / "one"), checkpoint(tmp_path / "two")
    assert one["aestyle"]["batches_seen"] == two["aestyle"]["batches_seen"] == 5
    for name, value in one["state_dict"].items():
        assert value.dtype == torch.float64 or not value.is_floating_point()
        assert torch.allclose(value, two["state_dict"][name], rtol=0, atol=1e-8), name
    assert method == "two_stage" or two["state_dict"].get("path_mean", 1) > 0


def test_checks_inside_two_processes() -> None:
    """One launch of two ranks for all checks of ``ddp_worker``: starting processes is what costs."""
    check_on_two_ranks("tests.engine.ddp_worker")
