"""Jigsaw negatives against all arrangements of an image's quarters, and their distribution."""

from itertools import permutations

import pytest
import torch
from scipy.stats import chisquare
from torch import Tensor

from aestyle.engine.draws import KeyedDraws
from aestyle.engine.negatives import Jigsaw
from aestyle.errors import UserError

ARRANGEMENTS = list(permutations(range(4)))
IDENTITY = ARRANGEMENTS.index((0, 1, 2, 3))


@pytest.fixture(params=range(3), autouse=True)
def seed(request: pytest.FixtureRequest) -> int:
    torch.manual_seed(request.param)
    return int(torch.randint(0, 2**40, ()))


def draws(seed: int, count: int, start: int = 0) -> KeyedDraws:
    return KeyedDraws(seed, "D", 0, torch.arange(start, start + count), 0)


def pictures(count: int) -> Tensor:
    c, h, w = (int(torch.randint(1, 4, ())) for _ in range(3))
    return torch.randn(count, c, 2 * h, 2 * w)


def arrangement(image: Tensor, shuffled: Tensor) -> int:
    """Which of the 24 arrangements of the image's quarters this is."""
    h, w = image.shape[1] // 2, image.shape[2] // 2
    a, b, c, d = image[:, :h, :w], image[:, :h, w:], image[:, h:, :w], image[:, h:, w:]
    for i, order in enumerate(ARRANGEMENTS):
        p, q, r, s = ((a, b, c, d)[j] for j in order)
        if torch.equal(torch.cat([torch.cat([p, q], 2), torch.cat([r, s], 2)], 1), shuffled):
            return i
    raise AssertionError("not made of the image's quarters")


def test_negatives_are_wrong_arrangements_each_as_often_as_another(seed: int) -> None:
    images = torch.randn(23 * 60, 1, 2, 2)
    shuffled = Jigsaw()(images, draws(seed, len(images)))
    counts = torch.zeros(len(ARRANGEMENTS))
    for image, negative in zip(images, shuffled, strict=True):
        counts[arrangement(image, negative)] += 1
    assert counts[IDENTITY] == 0
    wrong = counts[torch.arange(len(counts)) != IDENTITY]
    assert bool((wrong > 0).all())
    assert chisquare(wrong.numpy()).pvalue > 1e-3


def test_quarters_of_any_shape(seed: int) -> None:
    images = pictures(12)
    kept = images.clone()
    shuffled = Jigsaw()(images, draws(seed, 12))
    assert shuffled.shape == images.shape
    assert torch.equal(images, kept)
    assert all(arrangement(x, y) != IDENTITY for x, y in zip(images, shuffled, strict=True))


def test_an_image_is_cut_alike_in_any_batch(seed: int) -> None:
    images, jigsaw = pictures(8), Jigsaw()
    whole = jigsaw(images, draws(seed, 8))
    assert torch.equal(jigsaw(images[3:5], draws(seed, 2, start=3)), whole[3:5])
    assert not torch.equal(jigsaw(images, draws(seed + 1, 8)), whole)


def test_negatives_keep_precision_and_gradient(seed: int) -> None:
    images = pictures(4).double().requires_grad_()
    shuffled = Jigsaw()(images, draws(seed, 4))
    assert shuffled.dtype == torch.float64
    (gradient,) = torch.autograd.grad(shuffled.sum(), images)
    assert torch.equal(gradient, torch.ones_like(images))


@pytest.mark.parametrize("weight", [2, 1.01, -0.1, float("nan")])
def test_weight_is_a_share(weight: float) -> None:
    with pytest.raises(UserError, match=f"method.nda.weight={weight}"):
        Jigsaw(weight)


@pytest.mark.parametrize("weight", [0.0, 0.1, 1.0])
def test_any_share_will_do(weight: float) -> None:
    assert Jigsaw(weight).weight == weight
