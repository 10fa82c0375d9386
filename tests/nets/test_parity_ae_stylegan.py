"""Encoders and the AE step of AE-StyleGAN against the reference's numbers, through the method's own phase."""

from typing import Any

import pytest
import torch

from aestyle.engine.draws import RecordedDraws
from aestyle.engine.phases import Step, only_trainable
from aestyle.losses.adversarial import real_loss
from aestyle.losses.reconstruction import l1, mse
from aestyle.methods.ae_stylegan import AdaptiveBeta, AEWeights
from aestyle.methods.joint_ae import JointAE

from . import parity

LAMBDAS = [0.01, 0.1, 1.0, 10.0]


@pytest.fixture(scope="module")
def numbers() -> dict[str, Any]:
    return parity.load("ae_stylegan_32")


@pytest.fixture(params=["e_w", "e_wplus"])
def head(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def model(numbers: dict[str, Any], head: str) -> JointAE:
    mapping, synthesis = parity.generator(numbers["state"]["g"])
    return JointAE(
        encoder=parity.encoder(numbers["state"][head], numbers["config"]),
        weights=AEWeights(pixel=1.0, perceptual=0.0, adversarial=numbers["inputs"]["lambda_adv"]),
        beta=AdaptiveBeta(),
        mapping=mapping,
        synthesis=synthesis,
        discriminator=parity.discriminator(numbers["state"]["d"], numbers["config"]),
    )


@pytest.fixture
def step(numbers: dict[str, Any]) -> Step:
    noise = torch.cat([n.flatten(1) for n in numbers["inputs"]["noise"]], dim=1)
    return Step(numbers["inputs"]["x"], RecordedDraws({"rec_noise": noise}))


def ae_step(model: JointAE, step: Step) -> None:
    with only_trainable(model.networks, ("encoder", "synthesis")):
        model.autoencoder_loss(step).backward()


def recorded(model: JointAE, name: str) -> float:
    (value,) = model._recorded[name]
    return float(value)


def test_codes(numbers: dict[str, Any], head: str, model: JointAE) -> None:
    outputs, x = numbers["outputs"][head], numbers["inputs"]["x"]
    codes = model.encoder(x)
    parity.assert_values(codes.flatten(1), outputs["code"])
    parity.assert_values(model.encoder(x[:1]).flatten(1), outputs["code_b1"])
    parity.assert_values(codes.expand(-1, 8, -1), outputs["latents"])


def test_reconstruction_and_its_losses(numbers: dict[str, Any], head: str, model: JointAE, step: Step) -> None:
    outputs = numbers["outputs"][head]
    rec = model.reconstruct(step)
    logits = model.discriminator(rec)
    parity.assert_values(rec, outputs["rec"])
    parity.assert_values(logits, outputs["rec_logits"])
    parity.assert_values(real_loss(logits), outputs["adv"])
    parity.assert_values(mse(step.real, rec), outputs["pix_mse"])
    parity.assert_values(l1(step.real, rec), outputs["pix_l1"])
    parity.assert_values(model.discriminator(step.real), numbers["outputs"]["logits_real"])


def test_ae_step_has_the_reference_gradients(numbers: dict[str, Any], head: str, model: JointAE, step: Step) -> None:
    outputs, state = numbers["outputs"][head], numbers["state"]
    ae_step(model, step)
    of_encoder = parity.discriminator_gradients(state[head], model.encoder)
    of_generator = parity.generator_gradients(state["g"], model.mapping, model.synthesis)
    parity.assert_gradients(of_encoder, outputs["grad_e"])
    parity.assert_gradients(of_generator, outputs["grad_g"])
    assert all(p.grad is None for p in [*model.mapping.parameters(), *model.discriminator.parameters()])


def test_ae_step_has_the_reference_value(numbers: dict[str, Any], head: str, model: JointAE, step: Step) -> None:
    ae_step(model, step)
    beta, adv, pixel = (recorded(model, name) for name in ("health/beta", "loss/AE_adv", "loss/pixel"))
    parity.assert_values(beta, numbers["outputs"][head]["beta_used"])
    parity.assert_values(pixel + beta * adv, numbers["outputs"][head]["ae_loss"])


@pytest.mark.parametrize("adversarial", LAMBDAS)
def test_beta(numbers: dict[str, Any], head: str, model: JointAE, step: Step, adversarial: float) -> None:
    model.weights = AEWeights(pixel=1.0, perceptual=0.0, adversarial=adversarial)
    ae_step(model, step)
    assert numbers["inputs"]["lambda_adv_list"] == LAMBDAS
    parity.assert_values(recorded(model, "health/beta"), numbers["outputs"][head]["beta"][LAMBDAS.index(adversarial)])


@pytest.mark.parametrize("adversarial", LAMBDAS)
def test_beta_of_to_rgb_only(
    numbers: dict[str, Any], head: str, model: JointAE, step: Step, adversarial: float
) -> None:
    outputs = numbers["outputs"][head]
    model.weights = AEWeights(pixel=1.0, perceptual=0.0, adversarial=adversarial)
    model.beta = AdaptiveBeta(rgb_only=True)
    ae_step(model, step)
    expected = outputs["torgb_grad_norm_pix"] / (adversarial * outputs["torgb_grad_norm_adv"] + 1e-4)
    parity.assert_values(recorded(model, "health/beta"), expected)


def test_gradients_at_the_last_layer(numbers: dict[str, Any], head: str, model: JointAE, step: Step) -> None:
    outputs, layers = numbers["outputs"][head], model.synthesis.last_layer
    for name in ("pix", "adv"):
        rec = model.reconstruct(step)
        loss = mse(step.real, rec) if name == "pix" else real_loss(model.discriminator(rec))
        gradients = torch.autograd.grad(loss, layers)
        norms = torch.stack([g.norm() for g in gradients])
        parity.assert_values(gradients[0], outputs[f"grad_{name}_wrt_last_torgb_weight"])
        parity.assert_values(norms.norm(), outputs[f"last_layer_grad_norm_{name}"])
        parity.assert_values(norms[0], outputs[f"torgb_grad_norm_{name}"])
