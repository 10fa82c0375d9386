"""What is read out of G's optimizer state."""

from pathlib import Path

import pytest
import torch

from experiments.ae_stylegan.adam import gradient_size
from tests.helpers import answer
from tests.tiny import TINY, checkpoint


def test_the_size_of_a_gradient_is_that_of_the_synthesis_network_s_moments(tmp_path: Path) -> None:
    options = [*TINY, "method=stylegan2", "kimg=0.024", f"run_dir={tmp_path / 'run'}"]
    assert answer("train", *options).code == 0
    path = tmp_path / "run" / "checkpoints" / "last.ckpt"
    saved = checkpoint(tmp_path / "run")
    shapes = [tuple(entry["exp_avg_sq"].shape) for entry in saved["optimizer_states"][0]["state"].values()]
    names = [key for key in saved["state_dict"] if key.startswith(("mapping.", "synthesis.")) and "const_" not in key]
    assert shapes == [tuple(saved["state_dict"][key].shape) for key in names]  # F's parameters first, then G's
    for index, entry in saved["optimizer_states"][0]["state"].items():
        value = 100.0 if names[index].startswith("mapping.") else 4.0
        entry["exp_avg_sq"] = torch.full_like(entry["exp_avg_sq"], value)
    torch.save(saved, path)
    assert gradient_size(path) == pytest.approx(2.0)
