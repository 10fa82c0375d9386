"""The phases of each method, line by line those of the paper's algorithm boxes."""

from typing import Any

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig

from aestyle.engine.module import PhasedModule
from tests.tiny import compose_tiny

F, G, D, E, D2 = "mapping", "synthesis", "discriminator", "encoder", "rec_discriminator"
Line = tuple[str, set[str], int, int]
"""Name, networks that change, in which iterations, how often in one."""


def with_regularisers(lines: list[Line], regularised: bool) -> list[Line]:
    return [line for line in lines if regularised or not line[0].endswith(("_r1", "_path"))]


def algorithm_1(n: int, joint: bool) -> list[Line]:
    """Step I: D1, D2. Step II: E (and G in Table 4's ablation). Step III: F and G."""
    return [
        ("D", {D}, 1, 1),
        ("D_r1", {D}, 16, 1),
        ("D2", {D2}, 1, n),
        ("D2_r1", {D2}, 16, 1),
        ("AE", {E, G} if joint else {E}, 1, n),
        ("G", {F, G}, 1, 1),
        ("G_path", {F, G}, 4, 1),
    ]


def algorithm_2(n: int, joint: bool) -> list[Line]:
    """Step I: D. Step II: E and G (E alone in Table 4's ablation). Step III: F and G."""
    return [
        ("D", {D}, 1, 1),
        ("D_r1", {D}, 16, 1),
        ("AE", {E, G} if joint else {E}, 1, n),
        ("G", {F, G}, 1, 1),
        ("G_path", {F, G}, 4, 1),
    ]


def alae(n: int, joint: bool) -> list[Line]:
    """The released code's order: reconstruction, of codes, comes last; E is half of the discriminator."""
    return [
        ("D", {D, E}, 1, 1),
        ("D_r1", {D, E}, 16, 1),
        ("G", {F, G}, 1, 1),
        ("G_path", {F, G}, 4, 1),
        ("L", {E, G} if joint else {E}, 1, n),
    ]


def two_stage(n: int, joint: bool) -> list[Line]:
    """E before D; F and G never."""
    return [("AE", {E}, 1, n), ("D", {D}, 1, 1), ("D_r1", {D}, 16, 1)]


ALGORITHMS = {"decoupled_ae": algorithm_1, "joint_ae": algorithm_2, "alae": alae, "two_stage": two_stage}


@pytest.fixture(scope="module", params=ALGORITHMS)
def config(request: pytest.FixtureRequest) -> DictConfig:
    return compose_tiny(f"method={request.param}").method


def lines(config: DictConfig, **options: Any) -> list[Line]:
    method: PhasedModule = instantiate(config, **options, _convert_="all")
    return [(p.name, set(p.networks), p.every, p.repeat) for p in method.phases()]


@pytest.mark.parametrize("regularised", [True, False])
@pytest.mark.parametrize("n", [1, 4])
def test_phases_are_the_lines_of_the_algorithm(config: DictConfig, n: int, regularised: bool) -> None:
    options = {"e_steps": n, **({} if regularised else {"r1": None, "path_length": None})}
    for joint in [False] if config.name == "two_stage" else [False, True]:
        beta = {"beta": None} if "beta" in config and not joint else {}
        expected = with_regularisers(ALGORITHMS[config.name](n, joint), regularised)
        assert lines(config, joint=joint, **beta, **options) == expected


@pytest.mark.parametrize("regularised", ["r1", "path_length"])
def test_either_regulariser_goes_alone(config: DictConfig, regularised: str) -> None:
    left_out = "path_length" if regularised == "r1" else "r1"
    names = [name for name, *_ in lines(config, **{left_out: None})]
    suffix = "_r1" if left_out == "r1" else "_path"
    assert names == [name for name, *_ in ALGORITHMS[config.name](1, True) if not name.endswith(suffix)]


def test_stylegan2_with_an_encoder_beside_it() -> None:
    """Without the lines of E and D2, Algorithm 1 is StyleGAN2."""
    stylegan2 = lines(compose_tiny("method=stylegan2").method)
    assert stylegan2 == [line for line in algorithm_1(1, False) if not line[1] & {E, D2}]


@pytest.mark.parametrize("n", [1, 4])
def test_iterations_take_their_batches_in_order(config: DictConfig, n: int) -> None:
    """Repetition k of a phase sees sub-batch k: every E step a new one, everything else the first."""
    method: PhasedModule = instantiate(config, e_steps=n, _convert_="all")
    seen: list[tuple[str, list[float]]] = []
    method.run_phase = lambda phase, step: seen.append((phase.name, step.real.unique().tolist()))  # type: ignore[method-assign]
    batches = torch.arange(float(n)).repeat_interleave(4).view(-1, 1, 1, 1).expand(-1, 3, 8, 8)
    method.training_step({"image": batches}, 0)
    expected = [(name, [float(k)]) for name, _, _, repeat in lines(config, e_steps=n) for k in range(repeat)]
    assert seen == expected
    assert method.images_seen == 4
