"""State dicts of the reference implementations."""

import pytest
import torch

from aestyle.nets.discriminator import Discriminator, Encoder
from aestyle.nets.foreign import (
    discriminator_from_rosinality,
    generator_from_rosinality,
    generator_shape,
    style_dim_codes,
)
from aestyle.nets.generator import Mapping, Synthesis

from . import parity


@pytest.mark.parametrize("part", ["g", "g_ema"])
def test_every_tensor_of_a_generator_arrives(part: str) -> None:
    state = parity.load("stylegan2_32")["checkpoint"][part]
    mapping, synthesis = generator_from_rosinality(state)
    kept = [key for key in state if not key.endswith(".kernel")]
    assert len(mapping) + len(synthesis) == len(kept) < len(state)
    total = sum(float(state[key].double().square().sum()) for key in kept)
    arrived = sum(float(t.double().square().sum()) for t in [*mapping.values(), *synthesis.values()])
    assert arrived == pytest.approx(total, rel=1e-12)
    assert set(mapping) == set(Mapping(64, depth=4).state_dict())
    assert set(synthesis) == set(Synthesis(32, 64, {4: 1, 8: 1, 16: 1, 32: 1}).state_dict())


def test_both_indices_of_the_linear_layers_are_understood() -> None:
    channels = {4: 1, 8: 1, 16: 1, 32: 1}
    rosinality = discriminator_from_rosinality(parity.load("stylegan2_32")["checkpoint"]["d"])
    state = parity.load("ae_stylegan_32")["state"]
    assert (
        set(rosinality)
        == set(discriminator_from_rosinality(state["d"]))
        == set(Discriminator(32, channels).state_dict())
    )
    for name, codes in {"e_w": 1, "e_wplus": 8}.items():
        renamed = discriminator_from_rosinality(state[name])
        assert set(renamed) == set(Encoder(32, channels, 64, codes).state_dict())
        assert style_dim_codes(renamed, 64) == codes


@pytest.mark.parametrize("image_channels", [1, 3])
@pytest.mark.parametrize("noise", [False, True])
def test_shape_is_read_off_the_tensors(image_channels: int, noise: bool) -> None:
    arguments = {
        "resolution": 16,
        "style_dim": 5,
        "channels": {4: 3, 8: 7, 16: 2},
        "image_channels": image_channels,
        "noise": noise,
    }
    assert generator_shape(Synthesis(**arguments).state_dict()) == arguments


def test_unknown_layouts_are_refused() -> None:
    with pytest.raises(KeyError, match=r"mapping\.fc0\.weight"):
        generator_from_rosinality({"mapping.fc0.weight": torch.zeros(1)})
    with pytest.raises(KeyError, match="found 1"):
        discriminator_from_rosinality({"final_linear.1.weight": torch.zeros(1)})
