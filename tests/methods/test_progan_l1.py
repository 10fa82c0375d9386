"""ProgGAN/L1: two parts, the first of which makes the generator and the second one the encoder."""

from pathlib import Path

import pytest
import torch

from aestyle.engine.draws import RecordedDraws
from aestyle.engine.phases import Step
from aestyle.methods.progan_l1 import ProGANL1
from aestyle.nets.progan import Critic
from aestyle.studies.training import train
from tests.methods.test_every_method import batch, make, state
from tests.tiny import checkpoint, compose_tiny, differences

SHORT = ("++scale.stage_kimg=0.016", "++scale.gan_kimg=0.04")


def tiny(images_seen: int, *options: str) -> ProGANL1:
    method = make("progan_l1", *SHORT, *options)
    assert isinstance(method, ProGANL1)
    method.images_seen = images_seen
    return method


def test_the_second_part_trains_the_encoder_alone() -> None:
    """The averaged generator, of which samples are and which E is trained for, stays too."""
    method = tiny(32)
    samples = method.sample(3)
    method.training_step(batch(method), 0)
    assert [phase.name for phase in method.phases()] == ["E"]
    assert not torch.equal(method.sample(3), samples)
    before, samples = state(method), method.sample(3)
    for _ in range(3):
        method.training_step(batch(method), 0)
    changed = differences(before, state(method))
    assert changed
    assert not any("generator" in name or ".head" in name for name in changed)
    assert torch.equal(method.sample(3), samples)
    x = method.shown(batch(method)["image"])
    error = method.encoder_loss(Step(batch(method)["image"], RecordedDraws({})))
    rec = method.generate(method.ema["generator"], method.encode(batch(method)["image"]))
    assert error.item() == pytest.approx((x - rec).abs().mean().item(), rel=1e-5)


def test_losses_are_those_of_wgan_gp() -> None:
    method = tiny(24)
    real, z, share = batch(method)["image"], torch.randn(8, method.code_dim), torch.rand(8)
    step = Step(real, RecordedDraws({"z": z, "share": share}))
    found = method.discriminator_loss(step)
    x = method.shown(real)
    fake = method.generate(method.generator, torch.nn.functional.normalize(z, dim=1)).detach()
    between = (share.view(8, 1, 1, 1) * x + (1 - share).view(8, 1, 1, 1) * fake).requires_grad_()
    gradient = torch.autograd.grad(method.judge(between).sum(), between)[0]
    penalty = (gradient.flatten(1).norm(dim=1) - 1).square().mean()
    logits = method.judge(x)
    expected = method.judge(fake).mean() - logits.mean() + 10 * penalty + 0.001 * logits.square().mean()
    assert found.item() == pytest.approx(expected.item(), rel=1e-4, abs=1e-5)
    assert method.generator_loss(step).item() == pytest.approx(-method.judge(fake).mean().item(), rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("code_layer", [False, True])
def test_a_code_belongs_to_one_image_and_a_logit_to_a_batch(code_layer: bool) -> None:
    critic = Critic(8, 6, {4: 5, 8: 4}, 1, code_layer)
    x = torch.randn(8, 1, 8, 8)
    codes = critic(x, 1, 0.3)
    assert torch.allclose(codes.norm(dim=1), torch.ones(8))
    assert torch.allclose(critic(x[:2], 1, 0.3), codes[:2], atol=1e-6)
    assert not torch.allclose(critic.logits(x[:2], 1, 0.3), critic.logits(x, 1, 0.3)[:2])
    assert any(name.startswith("code_layer") for name, _ in critic.named_parameters()) == code_layer


@pytest.mark.slow
def test_a_run_stopped_in_either_part_ends_like_one_that_is_not(tmp_path: Path) -> None:
    train(compose_tiny("method=progan_l1", *SHORT, "kimg=0.064"), tmp_path / "straight")
    for images in (24, 48, 64):
        train(compose_tiny("method=progan_l1", *SHORT, f"kimg={images / 1000}"), tmp_path / "stopped")
    ends = [checkpoint(tmp_path / run) for run in ("straight", "stopped")]
    for key in ("state_dict", "optimizer_states"):
        assert not differences(ends[0][key], ends[1][key]), key


@pytest.mark.parametrize("option", ["gan_kimg=-1", "drift=-1", "gradient_penalty=-0.5"])
def test_negative_numbers_are_refused(option: str) -> None:
    with pytest.raises(Exception, match=f"method.{option}.*give 0 or more"):
        make("progan_l1", f"method.{option}")
