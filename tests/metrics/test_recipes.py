import math

import numpy as np
import pytest
import torch

from aestyle.errors import UserError
from aestyle.metrics.baselines import LinearBaseline
from aestyle.metrics.efflite0 import PooledEffLite0
from aestyle.metrics.identity import SameIdentity, SameOriginal, nearest
from aestyle.metrics.recipe import Subject
from aestyle.metrics.reconstruction import ReconstructionMSE, ReconstructionPSNR

FEATURES = PooledEffLite0(min_size=12)


@pytest.mark.parametrize("batch_size", [1, 5, 13, 100])
def test_rec_mse_is_the_mean_over_all_elements_without_clamping(data, originals, make_model, batch_size) -> None:
    result = ReconstructionMSE(name="rec_mse")(Subject(make_model(lambda x: 2 * x), data, batch_size=batch_size))
    assert result.value == pytest.approx(float(originals.square().mean()), rel=1e-5)
    assert (result.metric, result.split, result.num_images) == ("rec_mse", "test", 13)


def test_rec_psnr_of_a_constant_offset(data, make_model) -> None:
    data.images("test").pictures.clamp_(40, 200)
    result = ReconstructionPSNR(name="rec_psnr")(Subject(make_model(lambda x: x + 0.1), data))
    assert result.value == pytest.approx(20 * math.log10(2 / 0.1), rel=1e-4)
    perfect = ReconstructionPSNR(name="rec_psnr")(Subject(make_model(), data))
    assert perfect.value == math.inf


@pytest.mark.parametrize("components", [0, 1, 4, 39, 500])
def test_linear_baseline_equals_numpys_svd(data, originals, components) -> None:
    train = data.images("train").pictures.numpy().reshape(40, -1) / 127.5 - 1
    test = originals.double().numpy().reshape(13, -1)
    mean = train.mean(axis=0)
    basis = np.linalg.svd(train - mean, full_matrices=False)[2][:components]
    expected = np.mean((test - mean - (test - mean) @ basis.T @ basis) ** 2)
    result = LinearBaseline(name="pca", components=components)(Subject(None, data, batch_size=6))
    # Centred on their mean, 40 pictures have 39 directions; what SVD calls the 40th is noise.
    assert result.value == pytest.approx(expected, rel=1e-4 if components < 40 else 0.05)


def test_linear_baseline_fits_on_evenly_spaced_pictures_when_there_are_many(data, originals) -> None:
    result = LinearBaseline(name="mean", components=0, max_fit_images=4)(Subject(None, data))
    mean = (data.images("train").pictures[[0, 10, 20, 30]] / 127.5 - 1).mean(dim=0)
    assert result.value == pytest.approx(float((originals - mean).square().mean()), rel=1e-5)


def test_same_identity_of_an_exact_copy_is_one(data, make_model) -> None:
    result = SameIdentity(name="same_identity", extractor=FEATURES)(Subject(make_model(), data))
    assert (result.value, result.num_images, result.reference) == (1.0, 13, "test")


def test_same_identity_of_one_face_for_all_is_that_persons_share(data, make_model) -> None:
    first = data.images("test").pictures[:1] / 127.5 - 1
    model = make_model(lambda x: first.expand_as(x))
    result = SameIdentity(name="same_identity", extractor=FEATURES)(Subject(model, data))
    assert result.value == pytest.approx(5 / 13)


def test_own_original_of_an_exact_copy_is_one_and_of_one_picture_for_all_one_in_so_many(data, make_model) -> None:
    recipe = SameOriginal(name="own", extractor=FEATURES, num_images=8)
    assert recipe(Subject(make_model(), data)).value == 1.0
    first = data.images("test").pictures[:1] / 127.5 - 1
    found = recipe(Subject(make_model(lambda x: first.expand_as(x)), data))
    assert (found.value, found.num_images) == (pytest.approx(1 / 8), 8)


def test_same_identity_of_a_broken_model_is_nan(data, make_model) -> None:
    model = make_model(lambda x: x * torch.nan)
    assert math.isnan(SameIdentity(name="same_identity", extractor=FEATURES)(Subject(model, data)).value)


def test_same_identity_needs_labels(data) -> None:
    with pytest.raises(UserError, match="same_identity needs labels"):
        SameIdentity(name="same_identity", extractor=FEATURES, split="train").check(data)


def test_nearest_ignores_the_length_of_features() -> None:
    candidates = torch.randn(20, 6)
    order = torch.randperm(20)
    assert torch.equal(nearest(candidates[order] * (torch.rand(20, 1) + 0.1), candidates), order)


def test_a_metric_of_a_model_refuses_to_do_without_one(data) -> None:
    with pytest.raises(UserError, match="ckpt="):
        ReconstructionMSE(name="rec_mse")(Subject(None, data))


def test_another_split(data, make_model) -> None:
    recipe = ReconstructionMSE(name="rec_mse").on("train")
    assert recipe(Subject(make_model(), data)).num_images == 40
    with pytest.raises(UserError, match="val split is empty"):
        recipe.on("val").check(data)
