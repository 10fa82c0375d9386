"""The buffer of earlier images."""

import random

import pytest
import torch
from torch import Tensor

from aestyle.engine.draws import KeyedDraws, RecordedDraws
from aestyle.engine.history import History
from aestyle.errors import UserError


def batch(first: int, count: int, size: int = 4) -> Tensor:
    """Images that can be told apart: number ``first``, ``first + 1``, ... in every pixel."""
    return torch.arange(first, first + count).float()[:, None, None, None].expand(-1, 3, size, size).clone()


def numbers(images: Tensor) -> list[int]:
    return [int(image.flatten()[0]) for image in images]


def keyed(first: int, count: int, seed: int = 0) -> KeyedDraws:
    return KeyedDraws(seed, "E", 0, torch.arange(first, first + count), first)


def test_equals_a_transcription_of_the_rule() -> None:
    size, seed = random.randint(3, 9), random.randrange(2**30)
    history, stored = History(size), []
    first = 0
    for _ in range(12):
        count = random.randint(1, 5)
        draws = keyed(first, count, seed)
        uniforms = draws.uniforms("history", (2,), count).tolist()
        expected = []
        for number, (coin, where) in zip(range(first, first + count), uniforms, strict=True):
            if len(stored) < size:
                stored.append(number)
                expected.append(number)
            elif coin < 0.5:
                expected.append(stored[int(where * size)])
                stored[int(where * size)] = number
            else:
                expected.append(number)
        assert numbers(history(batch(first, count), draws)) == expected
        assert numbers(history.images) == stored
        first += count


def test_half_of_what_comes_is_swapped_and_every_place_is_used() -> None:
    history = History(10)
    history(batch(0, 10), keyed(0, 10))
    swapped = sum(
        n < i
        for i in range(10, 2010, 20)
        for n, i in zip(numbers(history(batch(i, 20), keyed(i, 20))), range(i, i + 20), strict=True)
    )
    assert 0.45 < swapped / 2000 < 0.55
    assert min(numbers(history.images)) >= 10


def test_images_of_another_size_start_it_anew() -> None:
    history = History(6)
    history(batch(0, 6), keyed(0, 6))
    assert numbers(history(batch(6, 4, size=8), keyed(6, 4))) == [6, 7, 8, 9]
    assert history.images.shape == (4, 3, 8, 8)


def test_large_images_take_half_the_places() -> None:
    history = History(4)
    history(torch.zeros(5, 1, 256, 256), keyed(0, 5))
    assert len(history.images) == 2


def test_a_part_filled_buffer_is_part_of_the_state() -> None:
    one, other = History(8), History(8)
    one(batch(0, 5), keyed(0, 5))
    other.load_state_dict(one.state_dict())
    for start in (5, 9, 13):
        assert torch.equal(one(batch(start, 4), keyed(start, 4)), other(batch(start, 4), keyed(start, 4)))
    assert torch.equal(one.images, other.images)


def test_what_it_hands_out_and_keeps_is_its_own() -> None:
    history, images = History(1), batch(0, 2)
    out = history(images, RecordedDraws({"history": torch.zeros(2, 2)}))
    assert numbers(out) == [0, 0]  # the second image was swapped for the first
    out.fill_(-1)
    assert numbers(images) == [0, 1]
    assert numbers(history.images) == [1]


def test_an_empty_buffer_is_refused() -> None:
    with pytest.raises(UserError, match=r"method\.history\.size=0"):
        History(0)
