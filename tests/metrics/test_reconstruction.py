"""Every unit of the reconstruction error, in pixels and in features, and the diversity of pairs."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.ndimage import correlate1d
from torch import Tensor, nn

from aestyle.errors import UserError
from aestyle.metrics.diversity import PairDiversity
from aestyle.metrics.efflite0 import efflite0
from aestyle.metrics.lpips import LPIPS
from aestyle.metrics.pairwise import LPIPSDistance, VGG16Distance
from aestyle.metrics.perceptual import EffLite0Distance, EffLite0RawDistance, PerceptualLoss
from aestyle.metrics.recipe import SAMPLES_PER_SEED, Subject, _subseed, as_saved
from aestyle.metrics.reconstruction import (
    ReconstructionDistance,
    ReconstructionMAE,
    ReconstructionMSE,
    ReconstructionRMSE,
    ReconstructionSSIM,
)
from aestyle.metrics.vgg import VGG16Perceptual
from tests.metrics.layouts import write_torchvision


def images(*shape: int) -> Tensor:
    return torch.rand(shape) * 2 - 1


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random networks in the published layouts."""
    folder = tmp_path_factory.mktemp("weights")
    for name in ("vgg16", "alexnet"):
        write_torchvision(folder / f"{name}.pth", name)
    return folder


def test_the_units_of_the_error_are_numpys(data, originals, make_model) -> None:
    subject = Subject(make_model(lambda x: 1.5 * x - 0.2), data, batch_size=5)
    error = 0.5 * originals.double().numpy() - 0.2
    expected = {
        ReconstructionMSE(name="mse"): np.mean(error**2),
        ReconstructionMSE(name="mse_1000", scale=1000): 1000 * np.mean(error**2),
        ReconstructionMAE(name="mae"): np.mean(np.abs(error)),
        ReconstructionRMSE(name="rmse_255", scale=127.5): np.sqrt(np.mean((error * 255 / 2) ** 2)),
    }
    for recipe, value in expected.items():
        assert recipe(subject).value == pytest.approx(value, rel=1e-5), recipe.name
        assert not recipe.higher_is_better


def slow_ssim(x: np.ndarray, y: np.ndarray) -> float:
    """Of one channel with values in [-1, 1], mirrored at the borders."""
    offsets = np.arange(-5, 6)
    window = np.exp(-(offsets**2) / (2 * 1.5**2))

    def blur(image: np.ndarray) -> np.ndarray:
        rows = correlate1d(image, window / window.sum(), axis=0, mode="mirror")
        return correlate1d(rows, window / window.sum(), axis=1, mode="mirror")

    mean_x, mean_y, c1, c2 = blur(x), blur(y), 0.02**2, 0.06**2
    var_x, var_y, cov = blur(x * x) - mean_x**2, blur(y * y) - mean_y**2, blur(x * y) - mean_x * mean_y
    return float(
        np.mean((2 * mean_x * mean_y + c1) * (2 * cov + c2) / ((mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2)))
    )


@pytest.mark.parametrize("channels", [1, 3])
def test_ssim_equals_its_definition(channels: int) -> None:
    x, rec = images(4, channels, 16, 16), 1.3 * images(4, channels, 16, 16)
    rec[:2] = x[:2] * 0.8 + 0.1
    found = ReconstructionSSIM(name="ssim").compare(x, rec)
    clamped = rec.clamp(-1, 1).double().numpy()
    expected = [
        np.mean([slow_ssim(a, b) for a, b in zip(x[i].double().numpy(), clamped[i], strict=True)]) for i in range(4)
    ]
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64), rtol=1e-6, atol=1e-9)


def test_ssim_of_an_exact_copy_is_one_whatever_the_batch(data, make_model) -> None:
    assert ReconstructionSSIM(name="ssim")(Subject(make_model(), data)).value == pytest.approx(1, abs=1e-12)
    model = make_model(lambda x: x / 2)
    values = [ReconstructionSSIM(name="ssim")(Subject(model, data, batch_size=size)).value for size in (1, 4, 13)]
    assert values == pytest.approx([values[0]] * 3, rel=1e-9)


@pytest.mark.parametrize(("net", "file", "size"), [("alex", "alexnet.pth", 32), ("vgg", "vgg16.pth", 16)])
def test_lpips_distance_is_lpips_and_says_that_its_weights_are_not_the_published_ones(weights, net, file, size) -> None:
    x, y = images(2, 1, size, size), images(2, 1, size, size)
    distance = LPIPSDistance(net, str(weights / file))
    torch.testing.assert_close(distance(x, y), LPIPS(net, str(weights / file))(x, y))
    assert distance.name.startswith(f"lpips-v0.1/{net}, weights ")
    with pytest.raises(UserError, match=f"net={net} needs pictures of at least {size - (net == 'alex')} px"):
        distance(x[..., :12], y[..., :12])


def test_vgg_distance_of_single_pictures_averages_to_the_loss(weights) -> None:
    x, y = images(3, 3, 16, 16), images(3, 3, 16, 16)
    distance = VGG16Distance("torchvision", str(weights / "vgg16.pth"))
    assert distance(x, y).shape == (3,)
    loss = VGG16Perceptual("torchvision", str(weights / "vgg16.pth"))
    torch.testing.assert_close(distance(x, y).mean(), loss(x, y))


def test_offline_distances_of_single_pictures_follow_their_definition() -> None:
    x, y, network = images(3, 1, 16, 16), images(3, 1, 16, 16), efflite0("cpu")
    distance = EffLite0Distance([0, 4], min_size=32)
    torch.testing.assert_close(distance(x, y).mean(), PerceptualLoss([0, 4], min_size=32)(x, y))
    torch.testing.assert_close(distance(x, y)[1:2], distance(x[1:2], y[1:2]), rtol=1e-4, atol=1e-6)
    f, g = (network.maps(each, [4], 32)[0] for each in (x, y))
    expected = nn.functional.mse_loss(f, g, reduction="none").mean(dim=(1, 2, 3))
    torch.testing.assert_close(EffLite0RawDistance(4, min_size=32)(x, y), expected)
    assert (distance.name, distance.resize) == ("efflite0/blocks0-4", "bilinear antialias, at least 32 px")


def test_reconstruction_distance_is_clamped_where_asked_and_scaled(data, originals, make_model) -> None:
    distance = EffLite0Distance((0,), min_size=None)
    subject = Subject(make_model(lambda x: 3 * x), data, batch_size=4)
    for clamp, rec in ((True, (3 * originals).clamp(-1, 1)), (False, 3 * originals)):
        recipe = ReconstructionDistance(name="rec", distance=distance, clamp=clamp, scale=10)
        result = recipe(subject)
        assert result.value == pytest.approx(10 * float(distance(originals, rec).mean()), rel=1e-4)
        assert (result.extractor, result.resize, result.num_images) == ("efflite0/blocks0", None, 13)


def test_missing_weights_are_found_missing_before_anything_is_measured(data, monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.delenv("AESTYLE_WEIGHTS", raising=False)
    for distance in (LPIPSDistance("vgg"), VGG16Distance()):
        with pytest.raises(UserError, match="is not here"):
            ReconstructionDistance(name="rec", distance=distance).check(data)
        with pytest.raises(UserError, match="is not here"):
            PairDiversity(name="pairs", distance=distance, num_pairs=3).check(data)


class MeanDifference:
    """Of two pictures; needs no network."""

    name, resize = "pixels", None

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        return (x - y).abs().mean(dim=(1, 2, 3))


@pytest.mark.parametrize("num_pairs", [3, 21])
def test_pairs_are_disjoint_samples_of_8_bits(data, make_model, num_pairs: int) -> None:
    model = make_model()
    starts = range(0, 2 * num_pairs, SAMPLES_PER_SEED)
    groups = [model.sample(min(SAMPLES_PER_SEED, 2 * num_pairs - start), seed=_subseed(0, start)) for start in starts]
    x = as_saved(torch.cat(groups)).double().numpy()
    expected = np.mean(np.abs(x[0::2] - x[1::2]))
    recipe = PairDiversity(name="pairs", distance=MeanDifference(), num_pairs=num_pairs)
    for size in (1, 7):
        result = recipe(Subject(model, data, batch_size=size))
        assert result.value == pytest.approx(expected, rel=1e-6)
        assert (result.num_images, result.split) == (2 * num_pairs, "samples")
    model.sample = lambda n, seed: torch.full((n, 1, 12, 12), torch.nan)
    assert math.isnan(recipe(Subject(model, data)).value)


def test_pairs_of_given_pictures_meet_by_chance_and_use_no_picture_twice(data) -> None:
    class Numbered:
        def __len__(self) -> int:
            return 40

        def batch(self, indices: list[int]) -> Tensor:
            return torch.tensor(indices, dtype=torch.uint8).view(-1, 1, 1, 1)

    found = []
    for size in (1, 4, 64):
        met = list(Subject(None, data, fakes=Numbered(), batch_size=size).pairs(20, seed=1))
        pairs = torch.stack([torch.cat(side).flatten() for side in zip(*met, strict=True)])
        found.append(((pairs + 1) * 127.5).round().int())
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])
    assert found[0].flatten().sort().values.tolist() == list(range(40))
    assert not torch.equal(found[0], torch.arange(40).view(20, 2).T)
