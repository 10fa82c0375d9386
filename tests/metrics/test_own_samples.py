"""A model on its own samples, whose reconstructions are halves of them."""

import pytest
import torch

from aestyle.metrics.own_samples import OwnSamples, SampleVariance
from aestyle.metrics.perceptual import EffLite0Distance
from aestyle.metrics.recipe import Subject
from aestyle.metrics.reconstruction import ReconstructionDistance, ReconstructionMSE, ReconstructionRMSE
from tests.metrics.latents import LinearModel


def samples(data, n: int, seed: int) -> torch.Tensor:
    return torch.cat(list(Subject(LinearModel(), data).samples(n, seed))).double()


@pytest.mark.parametrize("of", [ReconstructionMSE(name="rec"), ReconstructionRMSE(name="rec", scale=127.5)])
def test_the_metric_of_samples_and_their_reconstructions(data, of) -> None:
    n, seed = int(torch.randint(20, 60, ())), int(torch.randint(9, ()))
    found = OwnSamples(name="own", of=of, num_images=n, seed=seed)(Subject(LinearModel(), data))
    error = (samples(data, n, seed) / 2).square().mean()
    expected = error if isinstance(of, ReconstructionMSE) else 127.5 * error.sqrt()
    assert found.value == pytest.approx(float(expected), rel=1e-4)
    assert (found.metric, found.split, found.num_images, found.seed) == ("own", "samples", n, seed)


def test_a_distance_of_features_says_whose_they_are(data) -> None:
    of = ReconstructionDistance(name="rec", distance=EffLite0Distance((0,), min_size=None))
    found = OwnSamples(name="own", of=of, num_images=3)(Subject(LinearModel(), data))
    assert found.extractor == of.distance.name


def test_variance_of_samples(data) -> None:
    n = int(torch.randint(20, 60, ()))
    found = SampleVariance(name="variance", num_images=n)(Subject(LinearModel(), data))
    expected = samples(data, n, 0).var(dim=0, unbiased=False).mean()
    assert found.value == pytest.approx(float(expected), rel=1e-4)
