import pytest
import torch

from aestyle.data.transforms import to_float
from aestyle.metrics.baselines import GaussianFrechetDistance, fit_components
from aestyle.metrics.efflite0 import PooledEffLite0
from aestyle.metrics.recipe import Extractor, Subject
from tests.metrics.conftest import TinyData, TinySet

PIXELS = 12 * 12


class Pixels:
    """The picture itself, in place of features."""

    name, resize, num_features = "pixels", "none", PIXELS

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return x.flatten(1)


def baseline(extractor: Extractor, **options: int) -> GaussianFrechetDistance:
    return GaussianFrechetDistance(
        **{"name": "pca", "components": 3, "num_images": 4000, "extractor": extractor} | options
    )


@pytest.fixture
def low_rank() -> TinyData:
    """Pictures that vary along three directions only, far from black and white."""
    directions = torch.randn(3, PIXELS)
    x = 128 + (torch.randn(400, 3) * torch.tensor([12.0, 6.0, 3.0])) @ directions / directions.norm(dim=1).mean() * 3
    return TinyData({"train": TinySet(x.round().clamp(0, 255).to(torch.uint8).view(-1, 1, 12, 12))})


def test_samples_have_the_mean_and_covariance_of_the_pictures(low_rank) -> None:
    features = baseline(Pixels()).features(Subject(None, low_rank)).double()
    x = to_float(low_rank.images("train").pictures).flatten(1).double()
    assert features.shape == (4000, PIXELS)
    torch.testing.assert_close(features.mean(0), x.mean(0), rtol=0, atol=0.02)
    difference = (features.T.cov() - x.T.cov()).norm() / x.T.cov().norm()
    assert difference < 0.1


def test_samples_are_clamped_pictures_that_need_no_model_and_no_batch_size(data) -> None:
    recipe = baseline(PooledEffLite0(min_size=12), num_images=37)
    results = [recipe(Subject(None, data, batch_size=size)) for size in (1, 16)]
    assert results[0].value == pytest.approx(results[1].value, rel=1e-4)
    assert (results[0].num_images, results[0].seed, results[0].split) == (37, 0, "train")
    wide = baseline(Pixels(), components=39, num_images=50).features(Subject(None, data))
    assert wide.min() == -1
    assert wide.max() == 1


def test_components_are_found_once_for_all_baselines(data, monkeypatch) -> None:
    subject = Subject(None, data)
    first = fit_components(subject, 1000)
    monkeypatch.setattr("aestyle.metrics.baselines.principal_components", None)
    assert fit_components(subject, 1000) is first
