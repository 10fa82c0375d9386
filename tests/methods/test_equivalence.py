"""The generator of the decoupled form is exactly that of a StyleGAN2 of the same seed (AE-StyleGAN, section 3.2)."""

from pathlib import Path
from typing import Any

import pytest
import torch

from aestyle.engine.module import PhasedModule
from tests.helpers import answer
from tests.methods.driven import images, tiny
from tests.methods.test_every_method import ADA
from tests.tiny import TINY, checkpoint, differences

ITERATIONS = 21
"""Two of them with R1, six with path length."""
SHARED = ("mapping", "synthesis", "discriminator", "augment", "path_mean")


def stylegan2_part(method: PhasedModule) -> dict[str, Any]:
    """What a StyleGAN2 consists of: F, G, D1, their averages, Adam's moments, p of ADA, the mean path length."""
    weights = {k: v.clone() for k, v in method.state_dict().items() if k.removeprefix("ema.").split(".")[0] in SHARED}
    optimizers = dict(zip(method.optimizer_groups(), method.optimizers(), strict=True))
    return {"weights": weights, **{name: optimizers[name].state_dict() for name in "GD"}}


def trained(options: str, iterations: int = ITERATIONS) -> dict[str, Any]:
    """That part after a training on the same images, of which an iteration sees the first eight in D's and G's."""
    method, _ = tiny(options)
    for i in range(iterations):
        batch = images(method, seed=i)
        batch[:8] = images(method, seed=1000 + i)[:8]
        method.training_step({"image": batch}, 0)
    return stylegan2_part(method)


@pytest.fixture(scope="module")
def stylegan2() -> dict[str, Any]:
    return trained("stylegan2")


@pytest.mark.slow
@pytest.mark.parametrize("encoder", ["w", "w_plus"])
def test_decoupled_generator_is_that_of_stylegan2(stylegan2: dict[str, Any], encoder: str) -> None:
    decoupled = trained(f"decoupled_ae method/encoder={encoder}")
    assert {name.split(".")[0] for name in decoupled["weights"]} == {*SHARED, "ema"} - {"augment"}
    assert not differences(decoupled, stylegan2)


def test_whatever_the_encoder_does() -> None:
    options = "method.e_steps=2 method/code_critic=factor method.weights.latent=1 method/weights=official"
    assert not differences(trained(f"decoupled_ae {options}", 9), trained("stylegan2", 9))


@pytest.mark.parametrize(
    ("options", "iterations"),
    [("method.r1.every=2 method.path_length.every=3", 4), pytest.param("", ITERATIONS, marks=pytest.mark.slow)],
    ids=["short intervals", "usual intervals"],
)
def test_with_augmentation_too(options: str, iterations: int) -> None:
    """D1's probability of augmentation does not hear from D2."""
    decoupled = trained(f"decoupled_ae {ADA} {options}", iterations)
    assert "augment.level" in decoupled["weights"]
    assert not differences(decoupled, trained(f"stylegan2 {ADA} {options}", iterations))


@pytest.mark.parametrize("options", ["decoupled_ae method.joint=true", "joint_ae method.joint=false method.beta=null"])
def test_other_rows_of_table_4_change_the_generator(options: str) -> None:
    """With a G that reconstructs, or with one discriminator for both, the generator is another one."""
    changed = differences(trained(options, 2)["weights"], trained("stylegan2", 2)["weights"])
    assert {name.split(".")[1] for name in changed} >= {"mapping", "synthesis", "discriminator"}


@pytest.mark.slow
def test_decoupled_run_is_a_stylegan2_run(tmp_path: Path) -> None:
    """The same through the command, data and all."""
    for method in ("stylegan2", "decoupled_ae"):
        answer("train", *TINY, f"method={method}", f"run_dir={tmp_path / method}", "kimg=0.168", "seed=3")
    plain, decoupled = (checkpoint(tmp_path / name)["state_dict"] for name in ("stylegan2", "decoupled_ae"))
    assert not differences({name: decoupled[name] for name in plain}, plain)
    assert all(torch.isfinite(value).all() for value in decoupled.values())
