"""Samples drawn along the training, as IAAE's authors do it."""

import json
from pathlib import Path

import pytest
import torch
from hydra.utils import instantiate
from torch import nn

from aestyle.data.transforms import to_uint8
from aestyle.engine.batchnorm import batch_statistics
from aestyle.engine.module import PhasedModule
from aestyle.methods.gaussian_autoencoder import GaussianAutoencoder
from aestyle.studies.moving import MovingFakes
from aestyle.studies.training import train
from tests.tiny import checkpoint, compose_tiny, differences


def a_model() -> PhasedModule:
    model: PhasedModule = instantiate(compose_tiny("method=aae", "dataset=mnist").method, _convert_="all")
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d):
            nn.init.normal_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.5, 2)
    return model.train()


def test_batch_statistics_are_those_of_a_network_in_training_and_running_ones_stay() -> None:
    model = a_model()
    assert isinstance(model, GaussianAutoencoder)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    z = model.prior(64)
    fixed = model.eval().decode(z)
    with batch_statistics(model):
        ours = model.decode(z)
    assert not differences(dict(model.state_dict()), before)
    assert torch.equal(model.decode(z), fixed)
    assert not torch.allclose(ours, fixed, atol=1e-3)
    torch.testing.assert_close(model.decoder.train()(z), ours)


def test_the_newest_samples_are_kept_and_the_model_is_not_disturbed() -> None:
    model, fakes = a_model(), MovingFakes(50)
    before, generator = {k: v.clone() for k, v in model.state_dict().items()}, torch.get_rng_state()
    drawn = []
    for clock in range(3):
        model.images_seen = clock * 20
        fakes.draw(model, 20)
        drawn.insert(0, fakes.batch(range(20)))
        assert len(fakes) == min(50, 20 * (clock + 1))
    assert torch.equal(fakes.batch(range(50)), torch.cat(drawn)[:50])
    assert not torch.equal(drawn[0], drawn[1])
    assert not differences(dict(model.state_dict()), before)
    assert torch.equal(torch.get_rng_state(), generator)
    assert all(module.training for module in (model, model.encoder, model.decoder))  # type: ignore[arg-type]


def test_they_differ_from_samples_of_the_model_in_eval_mode() -> None:
    model, fakes = a_model(), MovingFakes(16)
    fakes.draw(model, 16)
    assert not torch.equal(fakes.batch(range(16)), to_uint8(model.eval().sample(16)))


@pytest.mark.slow
def test_a_run_is_measured_by_them_also_after_a_restart(tmp_path: Path) -> None:
    def run(folder: Path, *kimgs: float, moving: str = "evaluate.moving_fakes=20") -> tuple[list[float], object]:
        for kimg in kimgs:
            options = (
                "metrics=[fd_efflite0_10k]",
                "metrics.fd_efflite0_10k.num_images=null",
                "evaluate.every_kimg=0.032",
            )
            train(compose_tiny("method=aae", "dataset=orl_faces", f"kimg={kimg}", *options, moving), folder)
        lines = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
        return [line["value"] for line in lines], checkpoint(folder)["state_dict"]

    straight, weights = run(tmp_path / "a", 0.064)
    assert run(tmp_path / "b", 0.04, 0.064)[0] == straight
    usual, same = run(tmp_path / "c", 0.064, moving="evaluate.moving_fakes=null")
    assert usual[0] == straight[0]
    assert usual[1:] != straight[1:]
    assert not differences(same, weights)
