"""Layer mixing against slicing by hand."""

import random
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from aestyle.errors import UserError
from aestyle.latents.batches import decode_all, encode_all
from aestyle.latents.mixing import choose_layers, default_layers, mix_all_pairs, mix_layers, to_layers
from aestyle.latents.spaces import Space


def test_the_default_is_that_of_figure_6_scaled_to_the_depth() -> None:
    assert default_layers(12) == [7, 8, 9, 10, 11]
    for depth in range(2, 40):
        layers = default_layers(depth)
        assert layers == list(range(layers[0], depth))
        assert abs(layers[0] - depth * 7 / 12) <= 0.5


def test_layers_can_be_written_in_many_ways() -> None:
    for _ in range(20):
        depth = random.randrange(4, 20)
        first = random.randrange(depth)
        last = random.randrange(first, depth)
        expected = list(range(first, last + 1))
        assert choose_layers(f"{first}-{last}", depth) == expected
        assert choose_layers([str(first), f"{first}-{last}"], depth) == expected
        assert choose_layers(random.sample(expected, len(expected)), depth) == expected
        assert choose_layers(",".join(map(str, expected)), depth) == expected
        assert choose_layers(f"{first}-", depth) == list(range(first, depth))
        assert choose_layers(last, depth) == [last]
        assert choose_layers([], depth) == []
        assert choose_layers(None, depth) == default_layers(depth)


@pytest.mark.parametrize("layers", ["8", "0-8", "3-1", "-1", "a", "", "1.5", -1, 8, [0, 8], [None], True])
def test_layers_that_are_not_there_are_refused(layers: Any) -> None:
    with pytest.raises(UserError, match="layers="):
        choose_layers(layers, 8)


def test_mixing_is_slicing() -> None:
    for _ in range(10):
        depth = random.randrange(1, 9)
        a, b = torch.randn(2, 3, depth, 5)
        layers = random.sample(range(depth), random.randrange(depth + 1))
        expected = a.clone()
        for layer in layers:
            expected[:, layer] = b[:, layer]
        before = a.clone()
        assert torch.equal(mix_layers(a, b, layers), expected)
        assert torch.equal(a, before)


def test_every_a_meets_every_b() -> None:
    a, b, layers = torch.randn(2, 6, 5), torch.randn(3, 6, 5), [0, 4]
    grid = mix_all_pairs(a, b, layers)
    assert grid.shape == (2, 3, 6, 5)
    for i in range(2):
        for j in range(3):
            assert torch.equal(grid[i, j], mix_layers(a[i : i + 1], b[j : j + 1], layers)[0])


def test_all_layers_give_b_and_none_gives_a(model: Any, images: Tensor) -> None:
    codes, space = to_layers(model, encode_all(model, images))
    assert space == "w_plus"
    depth = codes.shape[1]
    rec = model.decode(model.encode(images))
    everything = decode_all(model, mix_all_pairs(codes[:1], codes[1:], range(depth)), space)
    nothing = decode_all(model, mix_all_pairs(codes[:1], codes[1:], []), space)
    torch.testing.assert_close(everything[0], rec[1:])
    torch.testing.assert_close(nothing[0], rec[:1].expand(2, -1, -1, -1))


def test_batches_change_nothing(model: Any) -> None:
    codes = torch.randn(2, 3, *model.spaces[model.code_space].shape, dtype=torch.float64)
    images = decode_all(model, codes, batch_size=random.randrange(1, 7))
    assert images.shape == (2, 3, 1, 8, 8)
    torch.testing.assert_close(images[1, 2], model.decode(codes[1, 2:])[0])


def test_codes_without_layers_are_refused_in_one_line() -> None:
    single: Any = SimpleNamespace(spaces={"z": Space("z", (4,))}, code_space="z")
    with pytest.raises(UserError, match="no layers") as refused:
        to_layers(single, torch.zeros(1, 4))
    assert "\n" not in str(refused.value)
