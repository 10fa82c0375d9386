"""Compares tensors and gradients with the numbers of tests/fixtures."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from aestyle.nets.discriminator import Discriminator, Encoder
from aestyle.nets.foreign import (
    discriminator_from_nvidia,
    discriminator_from_rosinality,
    generator_from_nvidia,
    generator_from_rosinality,
    generator_shape,
)
from aestyle.nets.generator import Mapping as MappingNetwork
from aestyle.nets.generator import Synthesis

VALUE_TOLERANCE = 2e-5
GRADIENT_TOLERANCE = 1e-4
State = Mapping[str, Tensor]
Translate = Callable[[State], tuple[dict[str, Tensor], dict[str, Tensor]]]


def load(name: str) -> dict[str, Any]:
    return torch.load(Path(__file__).parents[1] / "fixtures" / f"{name}.pt", weights_only=True)


def generator(state: State) -> tuple[MappingNetwork, Synthesis]:
    mapping_state, synthesis_state = generator_from_rosinality(state)
    shape = generator_shape(synthesis_state)
    mapping = MappingNetwork(shape["style_dim"], depth=len(mapping_state) // 2)
    synthesis = Synthesis(**shape)
    mapping.load_state_dict(mapping_state)
    synthesis.load_state_dict(synthesis_state)
    return mapping, synthesis


def discriminator(state: State, config: Mapping[str, Any]) -> Discriminator:
    network = Discriminator(config["size"], config["channels"])
    network.load_state_dict(discriminator_from_rosinality(state))
    return network


def encoder(state: State, config: Mapping[str, Any]) -> Encoder:
    renamed = discriminator_from_rosinality(state)
    codes = len(renamed["head.weight"]) // config["style_dim"]
    network = Encoder(config["size"], config["channels"], config["style_dim"], codes)
    network.load_state_dict(renamed)
    return network


def _labelled(state: State) -> dict[str, Tensor]:
    """The state with every tensor filled with its own index: survives any renaming and reshaping."""
    return {key: torch.full_like(value, i) for i, (key, value) in enumerate(state.items())}


def _gradients(state: State, renamed: State, network: nn.Module) -> dict[str, Tensor | None]:
    """Gradients of a network's parameters under the reference's names."""
    keys = list(state)
    gradients = {name: p.grad for name, p in network.named_parameters()}
    return {keys[int(label.flatten()[0])]: gradients[name] for name, label in renamed.items() if name in gradients}


def generator_gradients(
    state: State, mapping: nn.Module, synthesis: nn.Module, translate: Translate = generator_from_rosinality
) -> dict[str, Tensor | None]:
    of_mapping, of_synthesis = translate(_labelled(state))
    return {**_gradients(state, of_mapping, mapping), **_gradients(state, of_synthesis, synthesis)}


def discriminator_gradients(state: State, network: nn.Module) -> dict[str, Tensor | None]:
    return _gradients(state, discriminator_from_rosinality(_labelled(state)), network)


def nvidia_generator(state: State, network: type[Synthesis] = Synthesis) -> tuple[MappingNetwork, Synthesis]:
    mapping_state, synthesis_state = generator_from_nvidia(state)
    shape = generator_shape(synthesis_state)
    mapping, synthesis = MappingNetwork(shape["style_dim"], depth=len(mapping_state) // 2), network(**shape)
    mapping.load_state_dict(mapping_state)
    synthesis.load_state_dict(synthesis_state)
    return mapping, synthesis


def nvidia_discriminator(state: State, config: Mapping[str, Any]) -> Discriminator:
    network = Discriminator(config["img_resolution"], config["channels"])
    network.load_state_dict(discriminator_from_nvidia(state))
    return network


def nvidia_generator_gradients(state: State, mapping: nn.Module, synthesis: nn.Module) -> dict[str, Tensor | None]:
    return generator_gradients(state, mapping, synthesis, generator_from_nvidia)


def nvidia_discriminator_gradients(state: State, network: nn.Module) -> dict[str, Tensor | None]:
    return _gradients(state, discriminator_from_nvidia(_labelled(state)), network)


def assert_values(actual: Tensor | float, expected: Tensor | float, tolerance: float = VALUE_TOLERANCE) -> None:
    """Equal within the tolerance, relative to the largest expected entry."""
    actual, expected = torch.as_tensor(actual).detach(), torch.as_tensor(expected)
    error = (actual - expected.reshape(actual.shape)).abs().max() / expected.abs().max()
    assert error < tolerance, f"relative error {error:.1e}"


def assert_gradients(
    actual: Mapping[str, Tensor | None], expected: Mapping[str, Any], tolerance: float = GRADIENT_TOLERANCE
) -> None:
    """Norms and dot products of all gradients, relative to the largest norm; a gradient of None is one of 0."""
    assert set(actual) == set(expected["norm"]) | set(expected["none"])
    largest = max(expected["norm"].values())
    for name, gradient in actual.items():
        flat = torch.zeros(1) if gradient is None else gradient.flatten()
        flat = flat.double()
        dot = (flat * torch.cos(0.7 * torch.arange(len(flat), dtype=torch.float64) + 0.3)).sum()
        for kind, value in {"norm": flat.norm(), "dot": dot}.items():
            error = abs(float(value) - expected[kind].get(name, 0.0)) / largest
            assert error < tolerance, f"{kind} of the gradient of {name}: relative error {error:.1e}"
