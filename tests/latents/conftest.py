"""Tiny untrained models in double precision."""

import pytest
import torch
from hydra.utils import instantiate

from aestyle.engine.module import PhasedModule
from tests.tiny import compose_tiny


def build(*overrides: str) -> PhasedModule:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model: PhasedModule = instantiate(compose_tiny(*overrides).method, _convert_="all")
    return model.eval().double().requires_grad_(False)


@pytest.fixture(scope="session")
def models() -> dict[str, PhasedModule]:
    """A model for each space that an encoder may have, and one without an encoder."""
    return {
        "w_plus": build("method=joint_ae"),
        "w": build("method=joint_ae", "method/encoder=w"),
        "none": build("method=stylegan2"),
    }


@pytest.fixture(params=["w_plus", "w"])
def model(models: dict[str, PhasedModule], request: pytest.FixtureRequest) -> PhasedModule:
    """Each model with an encoder."""
    return models[request.param]


@pytest.fixture
def images() -> torch.Tensor:
    """Random pictures for these models."""
    return torch.rand(3, 1, 8, 8, dtype=torch.float64) * 2 - 1
