"""PIONEER's networks and losses give the numbers of the reference implementation, at several points of the growth."""

import re
from typing import Any

import pytest
from torch import Tensor, nn
from torch.nn.functional import normalize

from aestyle.engine.draws import RecordedDraws
from aestyle.engine.growth import Growth
from aestyle.engine.phases import Step
from aestyle.losses.encoder_game import code_mismatch, historical_moment_kl, moment_kl
from aestyle.losses.reconstruction import l1, mse
from aestyle.methods.age import GameWeights
from aestyle.methods.pioneer import Pioneer
from aestyle.nets.pioneer import Encoder, Generator
from tests.nets.parity import State, assert_gradients, load
from tests.nets.parity import assert_values as assert_values_within

FIXTURE = load("pioneer_32")
INPUTS, OUTPUTS = FIXTURE["inputs"], FIXTURE["outputs"]
CASES = [(int(phase), float(alpha)) for phase, alpha in FIXTURE["config"]["cases"]]
LEVELS = FIXTURE["config"]["levels_built"]

every_case = pytest.mark.parametrize(("phase", "alpha"), CASES)


def assert_values(actual: Tensor | float, expected: Tensor | float) -> None:
    assert_values_within(actual, expected, tolerance=5e-5)


def renamed(state: State) -> dict[str, str]:
    """The reference's name of each parameter, by ours; its encoder counts levels from the largest size on."""
    names = {}
    for key in state:
        if block := re.fullmatch(r"progression\.(\d+)\.conv\.(\d)\.conv\.(weight|bias)(_orig)?", key):
            level = int(block[1]) if "to_rgb.0.weight" in state else LEVELS - 1 - int(block[1])
            names[f"blocks.{level}.{'first' if block[2] == '0' else 'second'}.{block[3]}"] = key
        elif colours := re.fullmatch(r"(to_rgb|from_rgb)\.(\d+)\.(weight|bias)", key):
            level = int(colours[2]) if colours[1] == "to_rgb" else LEVELS - 1 - int(colours[2])
            names[f"{colours[1]}.{level}.{colours[3]}"] = key
    return names


def networks(u: str = "E_u_converged") -> tuple[Generator, Encoder]:
    shape: dict[str, Any] = {"resolution": 32, "code_dim": 32, "channels": dict.fromkeys((4, 8, 16, 32), 32)}
    generator, encoder = Generator(**shape), Encoder(**shape)
    state = FIXTURE["state"]
    generator.load_state_dict({name: state["G"][key] for name, key in renamed(state["G"]).items()})
    of_encoder = {name: state["E"][key] for name, key in renamed(state["E"]).items()}
    for name, key in renamed(state["E"]).items():
        if name.startswith("blocks") and name.endswith("weight"):
            of_encoder[name.removesuffix("weight") + "u"] = FIXTURE[u][key.removesuffix(".weight_orig")].flatten()
    encoder.load_state_dict(of_encoder)
    return generator, encoder


def expected(phase: int, alpha: float) -> dict[str, Any]:
    found: dict[str, Any] = OUTPUTS[f"phase{phase}_alpha{alpha:g}"]
    return found


def image(phase: int) -> Tensor:
    by_phase: dict[Any, Tensor] = INPUTS["x"]
    return by_phase[phase] if phase in by_phase else by_phase[str(phase)]


def gradients(network: nn.Module, state: State, active: dict[str, Any]) -> dict[str, Tensor | None]:
    """Gradients under the reference's names; what the phase does not use has none."""
    names, known = renamed(state), {*active["norm"], *active["none"]}
    found = {names[name]: p.grad for name, p in network.named_parameters()}
    assert all(gradient is None for key, gradient in found.items() if key not in known)
    return {key: gradient for key, gradient in found.items() if key in known}


@every_case
def test_networks(phase: int, alpha: float) -> None:
    generator, encoder = networks()
    numbers = expected(phase, alpha)
    x, z = image(phase), INPUTS["z"]
    assert_values(generator(z, phase, alpha), numbers["g_z"])
    codes = encoder(x, phase, alpha)
    assert_values(codes, numbers["e_x"])
    assert_values(generator(codes, phase, alpha), numbers["rec"])
    assert_values(encoder(generator(z, phase, alpha), phase, alpha), numbers["e_g_z"])


@every_case
def test_power_iterations_from_any_vector(phase: int, alpha: float) -> None:
    encoder = networks("E_u_random")[1]
    numbers = expected(phase, alpha)
    assert_values(encoder(image(phase), phase, alpha), numbers["e_x_random_u_1iter"])
    assert_values(encoder.blocks[phase].first.u, numbers["u_after_1iter_firstconv"])  # type: ignore[union-attr,arg-type]
    assert_values(encoder(image(phase), phase, alpha), numbers["e_x_random_u_2iter"])


def method_at(phase: int, alpha: float, x_weight: float) -> Pioneer:
    """The method at this point of its growth, its networks those of the fixture."""
    weights = FIXTURE["config"]["weights"]
    generator, encoder = networks()
    game = GameWeights(kl=weights["kl_real"], x=x_weight, x_boost=1.0, z=weights["z"])
    growth = Growth(32, stage_kimg=2.0)
    method = Pioneer(generator=generator, encoder=encoder, growth=growth, weights=game)
    method.images_seen = phase * 2000 + round(alpha * 1000)
    assert (method.stage.phase, method.stage.alpha) == (phase, alpha)
    method.shown = lambda real: real  # type: ignore[method-assign]
    return method


@every_case
@pytest.mark.parametrize("half", ["encoder_fade", "encoder_stable"])
def test_encoder_loss(half: str, phase: int, alpha: float) -> None:
    numbers = expected(phase, alpha)[half]
    method = method_at(phase, alpha, numbers["match_x"])
    method.generator.requires_grad_(False)
    loss = method.encoder_loss(Step(image(phase), RecordedDraws({"z": INPUTS["z"]})))
    loss.backward()
    recorded = {name: values[0] for name, values in method._recorded.items()}
    assert_values(0.1 * recorded["loss/kl_real"], numbers["KL_real_scaled"])
    assert_values(-0.1 * recorded["loss/kl_fake"], numbers["KL_fake_scaled_signed"])
    assert_values(numbers["match_x"] * recorded["loss/x"], numbers["x_err_scaled"])
    assert_values(loss, numbers["total"])
    assert_gradients(gradients(method.encoder, FIXTURE["state"]["E"], numbers["grad"]), numbers["grad"], 2e-4)


@every_case
def test_generator_loss(phase: int, alpha: float) -> None:
    numbers = expected(phase, alpha)["generator"]
    method = method_at(phase, alpha, 1.0)
    method.encoder.requires_grad_(False)
    loss = method.generator_loss(Step(image(phase), RecordedDraws({"z": INPUTS["z"]})))
    loss.backward()
    assert_values(0.1 * method._recorded["loss/kl_G"][0], numbers["KL_scaled"])
    assert_values(loss, numbers["total"])
    assert_gradients(gradients(method.generator, FIXTURE["state"]["G"], numbers["grad"]), numbers["grad"], 2e-4)


def test_losses_alone() -> None:
    for name, codes in INPUTS["kl_batches"].items():
        numbers = OUTPUTS["kl"][name]
        mean, variance = codes.mean(dim=0), codes.var(dim=0, unbiased=False)
        assert_values(mean[:4], numbers["mean_first4"])
        assert_values(variance[:4], numbers["biased_var_first4"])
        assert_values(moment_kl(mean, variance), numbers["qp_minimize"])
        assert abs(historical_moment_kl(mean, variance) / numbers["qp_minimize"] - 1) > 0.1
    pair = INPUTS["kl_batches"]["gauss"], INPUTS["kl_batches"]["sphere"]
    assert_values(l1(*pair), OUTPUTS["mismatch"]["L1"])
    assert_values(mse(*pair), OUTPUTS["mismatch"]["L2"])
    assert_values(code_mismatch(*(normalize(codes, dim=1) for codes in pair)), OUTPUTS["mismatch"]["cos"])
