"""Networks and losses of stylegan2-ada against NVIDIA's numbers, as one style per layer and as equal rows."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from aestyle.losses.adversarial import discriminator_loss, generator_loss
from aestyle.losses.regularizers import path_lengths, r1_penalty
from aestyle.nets.foreign import discriminator_from_nvidia, generator_from_nvidia
from aestyle.nets.generator import Synthesis, style_per_layer, truncate
from aestyle.nets.overparam import RowSynthesis

from . import parity

NUM_WS = 8


@pytest.fixture(scope="module")
def numbers() -> dict[str, Any]:
    return parity.load("stylegan2_ada_32")


class Generator(nn.Module):
    """F and G of the file; G is given styles (N, num_ws, style_dim) in either form."""

    def __init__(self, state: parity.State, network: type[Synthesis]) -> None:
        super().__init__()
        self.mapping, self.synthesis = parity.nvidia_generator(state, network)

    def w(self, z: Tensor) -> Tensor:
        return style_per_layer(self.mapping(z), self.synthesis.num_ws)

    def forward(self, ws: Tensor, noise: bool = True) -> Tensor:
        silent = None if noise else [torch.zeros(1, *shape) for shape in self.synthesis.noise_shapes]
        if isinstance(self.synthesis, RowSynthesis):
            ws = ws.unsqueeze(2).expand(-1, -1, self.synthesis.rows, -1)
        return self.synthesis(ws, silent)


@pytest.fixture(params=[Synthesis, RowSynthesis])
def generator(numbers: dict[str, Any], request: pytest.FixtureRequest) -> Generator:
    return Generator(numbers["checkpoint"]["G"], request.param)


@pytest.fixture
def discriminator(numbers: dict[str, Any]) -> nn.Module:
    return parity.nvidia_discriminator(numbers["checkpoint"]["D"], numbers["config"])


def test_images(numbers: dict[str, Any], generator: Generator) -> None:
    inputs, outputs = numbers["inputs"], numbers["outputs"]
    ws = generator.w(inputs["z"])
    parity.assert_values(ws[:, 0], outputs["w"])
    parity.assert_values(generator(ws), outputs["image_const_fused"])
    parity.assert_values(generator(ws[:2], noise=False), outputs["image_none_fused"])
    parity.assert_values(generator(inputs["ws"][:2]), outputs["image_ws_const"])


def test_truncated_images(numbers: dict[str, Any], generator: Generator) -> None:
    inputs, outputs, mean = numbers["inputs"], numbers["outputs"], numbers["checkpoint"]["G"]["mapping.w_avg"]
    ws = generator.w(inputs["z"])
    cut = truncate(ws, mean, inputs["truncation_psi"])
    parity.assert_values(cut[:, 0], outputs["ws_trunc"])
    parity.assert_values(generator(cut[:2]), outputs["image_trunc_const"])
    cutoff = inputs["truncation_cutoff"]
    partly = torch.cat([cut[:, :cutoff], ws[:, cutoff:]], dim=1)
    parity.assert_values(partly, outputs["ws_trunc_cutoff"])
    parity.assert_values(generator(partly[:2]), outputs["image_trunc_cutoff_const"])


def test_generator_loss(numbers: dict[str, Any], generator: Generator, discriminator: nn.Module) -> None:
    loss = generator_loss(discriminator(generator(generator.w(numbers["inputs"]["z"]))))
    parity.assert_values(loss, numbers["outputs"]["g_loss_fused"])
    loss.backward()
    state = numbers["checkpoint"]["G"]
    gradients = parity.nvidia_generator_gradients(state, generator.mapping, generator.synthesis)
    parity.assert_gradients(gradients, numbers["outputs"]["g_grad_fused"])


def test_path_lengths(numbers: dict[str, Any], generator: Generator) -> None:
    """Of styles: those of rows are differentiated through the repetition."""
    ws = generator.w(numbers["inputs"]["z"])
    lengths = path_lengths(generator(ws), ws, numbers["inputs"]["pl_y"])
    parity.assert_values(lengths, numbers["outputs"]["pl_lengths"])


@pytest.mark.parametrize("batch_size", [1, 2, 4, 8])
def test_logits(numbers: dict[str, Any], discriminator: nn.Module, batch_size: int) -> None:
    real, outputs = numbers["inputs"]["real"], numbers["outputs"]
    parity.assert_values(discriminator(real[:batch_size]), outputs[f"logits_b{batch_size}"])
    parity.assert_values(discriminator(outputs["image_const_fused"]), outputs["logits_fake"])


@pytest.mark.parametrize(("name", "gradients"), [("d_loss", "d_grad"), ("r1", "r1_grad")])
def test_discriminator_losses(numbers: dict[str, Any], discriminator: nn.Module, name: str, gradients: str) -> None:
    outputs, state, n = numbers["outputs"], numbers["checkpoint"]["D"], len(numbers["inputs"]["z"])
    real = numbers["inputs"]["real"][:n]
    if name == "r1":
        loss = r1_penalty(discriminator, real)
    else:
        loss = discriminator_loss(discriminator(real), (discriminator(outputs["image_const_fused"]), 1.0))
    parity.assert_values(loss, outputs[name])
    loss.backward()
    parity.assert_gradients(parity.nvidia_discriminator_gradients(state, discriminator), outputs[gradients])


@pytest.mark.parametrize("translate", [generator_from_nvidia, discriminator_from_nvidia])
def test_unknown_keys_are_named(translate: Any) -> None:
    for key in ("b8.conv2.weight", "synthesis.b8.conv2.weight", "mapping.embed.weight", "b16.fromrgb.weight"):
        with pytest.raises(KeyError, match=key.replace(".", r"\.")):
            translate({key: torch.zeros(1), "b32.fromrgb.bias": torch.zeros(1)})
