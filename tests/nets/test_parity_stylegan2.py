"""Networks and losses of StyleGAN2 against the reference's numbers, through the method's own phases."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from aestyle.engine.draws import RecordedDraws
from aestyle.engine.phases import Lazy, Step, only_trainable
from aestyle.losses.regularizers import path_lengths
from aestyle.methods.stylegan2 import StyleGAN2
from aestyle.nets.generator import mix_styles, style_per_layer, truncate

from . import parity


@pytest.fixture(scope="module")
def numbers() -> dict[str, Any]:
    return parity.load("stylegan2_32")


@pytest.fixture
def model(numbers: dict[str, Any]) -> StyleGAN2:
    """The reference's networks; regularisers weigh 1 and mixing is off."""
    mapping, synthesis = parity.generator(numbers["checkpoint"]["g"])
    discriminator = parity.discriminator(numbers["checkpoint"]["d"], numbers["config"])
    model = StyleGAN2(
        mapping, synthesis, discriminator, r1=Lazy(2.0, 1), path_length=Lazy(1.0, 1), path_decay=0.01, style_mixing=0.0
    )
    model.path_mean = torch.tensor(numbers["inputs"]["mean_path_length"])
    return model


def draws(inputs: dict[str, Any], mixing: bool = False, direction: str = "pl_y") -> RecordedDraws:
    """The fixture's inputs in the form in which phases ask for them."""
    crossover = (inputs["inject_index"] - 0.5) / 7  # 1 + int(7 u) is the layer from which the second style is used
    return RecordedDraws(
        {
            "z": inputs["z"],
            "z2": inputs["z2"],
            "noise": torch.cat([n.flatten(1) for n in inputs["noise"]], dim=1),
            "path_direction": inputs[direction],
            "mix": 0.0 if mixing else 1.0,
            "crossover": crossover,
        }
    )


def backward(model: StyleGAN2, names: tuple[str, ...], loss: Callable[[Step], Tensor], step: Step) -> float:
    with only_trainable(model.networks, names):
        value = loss(step)
        value.backward()
    return float(value.detach())


def test_mapping(numbers: dict[str, Any], model: StyleGAN2) -> None:
    parity.assert_values(model.mapping(numbers["inputs"]["z"]), numbers["outputs"]["w"])
    parity.assert_values(model.mapping(numbers["inputs"]["z2"]), numbers["outputs"]["w2"])


def test_images_with_given_noise(numbers: dict[str, Any], model: StyleGAN2) -> None:
    inputs, outputs = numbers["inputs"], numbers["outputs"]
    ws = style_per_layer(outputs["w"], model.synthesis.num_ws)
    parity.assert_values(model.synthesis(ws, inputs["noise"]), outputs["image"])
    parity.assert_values(model.synthesis(ws[:1], inputs["noise_shared"]), outputs["image_noise_shared"])
    parity.assert_values(model.synthesis(ws[:1]), outputs["image_fixed_buffers"])


def test_images_of_mixed_and_truncated_styles(numbers: dict[str, Any], model: StyleGAN2) -> None:
    inputs, outputs = numbers["inputs"], numbers["outputs"]
    noise = [n[:1] for n in inputs["noise"]]
    first, second = (style_per_layer(outputs[w][:1], model.synthesis.num_ws) for w in ("w", "w2"))
    mean, psi = inputs["mean_latent"], inputs["truncation_psi"]
    mixed = mix_styles(first, second, inputs["inject_index"])
    cases = {
        "image_mix": mixed,
        "image_trunc": truncate(first, mean, psi),
        "image_trunc_mix": truncate(mixed, mean, psi),
        "image_from_w_plus": inputs["w_plus"][:1],
    }
    for name, ws in cases.items():
        parity.assert_values(model.synthesis(ws, noise), outputs[name])


def test_generate_draws_the_reference_image(numbers: dict[str, Any], model: StyleGAN2) -> None:
    parity.assert_values(model.generate(4, draws(numbers["inputs"])), numbers["outputs"]["image"])
    model.style_mixing = 0.9
    mixed = model.generate(4, draws(numbers["inputs"], mixing=True))
    parity.assert_values(mixed[:1], numbers["outputs"]["image_mix"])


def test_image_of_averaged_generator(numbers: dict[str, Any]) -> None:
    mapping, synthesis = parity.generator(numbers["checkpoint"]["g_ema"])
    ws = style_per_layer(mapping(numbers["inputs"]["z"][:1]), synthesis.num_ws)
    parity.assert_values(synthesis(ws, [n[:1] for n in numbers["inputs"]["noise"]]), numbers["outputs"]["image_ema"])


@pytest.mark.parametrize("batch_size", [1, 2, 3, 4, 8])
def test_logits(numbers: dict[str, Any], model: StyleGAN2, batch_size: int) -> None:
    logits = model.discriminator(numbers["inputs"]["real"][:batch_size])
    parity.assert_values(logits, numbers["outputs"][f"logits_b{batch_size}"])


def test_logits_of_generated_images(numbers: dict[str, Any], model: StyleGAN2) -> None:
    parity.assert_values(model.discriminator(numbers["outputs"]["image"]), numbers["outputs"]["logits_fake"])


@pytest.mark.parametrize(("mixing", "suffix"), [(False, ""), (True, "_mix")])
def test_generator_phase(numbers: dict[str, Any], model: StyleGAN2, mixing: bool, suffix: str) -> None:
    model.style_mixing = 0.9
    step = Step(numbers["inputs"]["real"][:4], draws(numbers["inputs"], mixing))
    loss = backward(model, ("mapping", "synthesis"), model.generator_loss, step)
    parity.assert_values(loss, numbers["outputs"][f"g_loss{suffix}"])
    gradients = parity.generator_gradients(numbers["checkpoint"]["g"], model.mapping, model.synthesis)
    parity.assert_gradients(gradients, numbers["outputs"][f"g_grad{suffix}"])
    assert all(p.grad is None for p in model.discriminator.parameters())


def test_discriminator_phase(numbers: dict[str, Any], model: StyleGAN2) -> None:
    step = Step(numbers["inputs"]["real"][:4], draws(numbers["inputs"]))
    loss = backward(model, ("discriminator",), model.discriminator_loss, step)
    parity.assert_values(loss, numbers["outputs"]["d_loss"])
    gradients = parity.discriminator_gradients(numbers["checkpoint"]["d"], model.discriminator)
    parity.assert_gradients(gradients, numbers["outputs"]["d_grad"])


def test_r1_phase(numbers: dict[str, Any], model: StyleGAN2) -> None:
    step = Step(numbers["inputs"]["real"][:4], draws(numbers["inputs"]))
    loss = backward(model, ("discriminator",), model.r1_loss, step)
    parity.assert_values(loss, numbers["outputs"]["r1"])
    gradients = parity.discriminator_gradients(numbers["checkpoint"]["d"], model.discriminator)
    parity.assert_gradients(gradients, numbers["outputs"]["r1_grad"])


def test_discriminator_loss_and_r1_together(numbers: dict[str, Any], model: StyleGAN2) -> None:
    model.r1 = Lazy(numbers["inputs"]["r1_gamma"], 1)
    step = Step(numbers["inputs"]["real"][:4], draws(numbers["inputs"]))
    losses = [backward(model, ("discriminator",), loss, step) for loss in (model.discriminator_loss, model.r1_loss)]
    parity.assert_values(sum(losses), numbers["outputs"]["d_loss_plus_r1"])
    gradients = parity.discriminator_gradients(numbers["checkpoint"]["d"], model.discriminator)
    parity.assert_gradients(gradients, numbers["outputs"]["d_grad_plus_r1"])


def test_gradient_at_the_image(numbers: dict[str, Any], model: StyleGAN2) -> None:
    real = numbers["inputs"]["real"][:4].clone().requires_grad_()
    (gradient,) = torch.autograd.grad(model.discriminator(real).sum(), real)
    parity.assert_values(gradient[:1], numbers["outputs"]["dlogit_dx_first"])


@pytest.mark.parametrize(("mixing", "name", "count"), [(False, "pl", 4), (True, "pl_mix", 2)])
def test_path_length_phase(numbers: dict[str, Any], model: StyleGAN2, mixing: bool, name: str, count: int) -> None:
    outputs = numbers["outputs"]
    model.style_mixing = 0.9
    direction = "pl_y_mix" if mixing else "pl_y"
    real = numbers["inputs"]["real"][: 2 * count]  # the phase draws half as many images as it is given
    loss = backward(
        model,
        ("mapping", "synthesis"),
        model.path_length_loss,
        Step(real, draws(numbers["inputs"], mixing, direction)),
    )
    parity.assert_values(loss, outputs[f"{name}_penalty"])
    parity.assert_values(model.path_mean, outputs[f"{name}_new_mean"])
    assert not model.path_mean.requires_grad
    gradients = parity.generator_gradients(numbers["checkpoint"]["g"], model.mapping, model.synthesis)
    parity.assert_gradients(gradients, outputs[f"{name}_grad"])


@pytest.mark.parametrize(("mixing", "name", "count"), [(False, "pl", 4), (True, "pl_mix", 2)])
def test_path_lengths(numbers: dict[str, Any], model: StyleGAN2, mixing: bool, name: str, count: int) -> None:
    model.style_mixing = 0.9
    recorded = draws(numbers["inputs"], mixing, "pl_y_mix" if mixing else "pl_y")
    ws = model.styles(count, recorded)
    images = model.synthesis(ws, model.noise(count, recorded))
    lengths = path_lengths(images, ws, recorded.normal("path_direction", images.shape[1:], count))
    parity.assert_values(lengths, numbers["outputs"][f"{name}_lengths"])
