import math
from dataclasses import replace

import numpy as np
import pytest
import scipy.linalg
import torch
from torch import Tensor

from aestyle.errors import UserError
from aestyle.metrics.efflite0 import PooledEffLite0
from aestyle.metrics.frechet import (
    RealFrechetDistance,
    ReconstructionFrechetDistance,
    SampleFrechetDistance,
    frechet_distance,
)
from aestyle.metrics.recipe import Subject

FEATURES = PooledEffLite0(min_size=12)


@pytest.mark.parametrize(("n", "m", "d"), [(50, 70, 5), (200, 30, 12)])
def test_equals_the_formula(n: int, m: int, d: int) -> None:
    rng = np.random.default_rng()
    x, y = (rng.normal(size=(k, d)) @ rng.normal(size=(d, d)) + rng.normal(size=d) for k in (n, m))
    cov_x, cov_y = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    root = scipy.linalg.sqrtm(cov_x @ cov_y).real
    expected = np.sum((x.mean(0) - y.mean(0)) ** 2) + np.trace(cov_x + cov_y - 2 * root)
    assert frechet_distance(torch.from_numpy(x), torch.from_numpy(y)) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("n", [300, 20])
def test_of_a_set_from_itself_is_zero(n: int) -> None:
    x = torch.randn(n, 30) @ torch.randn(30, 30)
    assert frechet_distance(x, x[torch.randperm(n)]) == pytest.approx(0, abs=1e-4 * float(x.var(0).sum()))


def test_grows_with_the_shift_of_the_mean() -> None:
    x, shift = torch.randn(100, 8, dtype=torch.float64), torch.randn(8, dtype=torch.float64)
    assert frechet_distance(x + shift, x) == pytest.approx(float(shift.square().sum()), rel=1e-6)


def test_of_features_that_are_not_finite_is_nan() -> None:
    x = torch.randn(10, 4)
    assert math.isnan(frechet_distance(x.index_fill(0, torch.tensor([3]), torch.nan), x))


def test_perfect_reconstructions_reach_the_floor_of_the_real_pictures(data, make_model) -> None:
    subject = Subject(make_model(), data)
    real = RealFrechetDistance(name="real", extractor=FEATURES)(subject)
    rec = ReconstructionFrechetDistance(name="rec", extractor=FEATURES)(subject)
    assert rec.value == pytest.approx(real.value, rel=1e-6)
    assert (rec.num_images, rec.split, rec.reference, rec.extractor) == (13, "test", "train", "efflite0/block10")
    assert (
        ReconstructionFrechetDistance(name="rec", extractor=FEATURES)(Subject(make_model(torch.zeros_like), data)).value
        > 1.1 * real.value
    )


def test_a_reconstruction_with_a_nan_makes_the_distance_nan(data, make_model) -> None:
    subject = Subject(make_model(lambda x: x.masked_fill(x == x.max(), torch.nan)), data)
    assert math.isnan(ReconstructionFrechetDistance(name="rec", extractor=FEATURES)(subject).value)


def test_values_outside_the_range_count_as_the_8_bit_picture_would(data, make_model) -> None:
    def value(change) -> float:
        return ReconstructionFrechetDistance(name="rec", extractor=FEATURES)(Subject(make_model(change), data)).value

    assert value(lambda x: 3 * x) == value(lambda x: (3 * x).clamp(-1, 1))


def test_depends_on_neither_batch_size_nor_order(data, make_model) -> None:
    recipe = SampleFrechetDistance(name="fd", num_images=37, extractor=FEATURES)
    values = [recipe(Subject(make_model(), data, batch_size=size)).value for size in (1, 7, 64)]
    train = data.images("train")
    train.pictures = train.pictures[torch.randperm(len(train))]
    values.append(recipe(Subject(make_model(), data)).value)
    assert values == pytest.approx([values[0]] * 4, rel=1e-4)


def test_samples_follow_the_seed(data, make_model) -> None:
    def drawn(n: int, seed: int) -> Tensor:
        return torch.cat(list(Subject(make_model(), data).samples(n, seed)))

    assert drawn(50, 0).shape == (50, 1, 12, 12)
    assert len(drawn(50, 0).unique(dim=0)) == 50
    assert torch.equal(drawn(50, 3), drawn(50, 3))
    assert not (drawn(50, 0)[:, None] == drawn(50, 1)[None]).flatten(2).all(-1).any()


def test_samples_keep_their_reference_when_the_split_changes(data, make_model) -> None:
    recipe = SampleFrechetDistance(name="fd", num_images=20, seed=4, extractor=FEATURES)
    result = recipe.on("test")(Subject(make_model(), data))
    assert (result.split, result.reference, result.seed, result.num_images) == ("train", "train", 4, 20)


def test_an_empty_reference_is_refused_in_advance(data) -> None:
    recipe = SampleFrechetDistance(name="fd", num_images=20, extractor=FEATURES)
    recipe.check(data)
    with pytest.raises(UserError, match="val split is empty"):
        replace(recipe, reference="val").check(data)
