"""Latent statistics against distributions whose moments are known, and against definitions in numpy."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal
from torch import Tensor

from aestyle.errors import NotOffered
from aestyle.metrics.latent import (
    LatentCollapsed,
    LatentCovariance,
    LatentDead,
    LatentKL,
    LatentMu,
    LatentSigma,
    LatentSigmaMedian,
    aggregate_moments,
)
from aestyle.metrics.recipe import Histogram, Subject
from aestyle.studies.evaluation import evaluate
from tests.metrics.conftest import TinyData, TinyModel

DIM = 3


class GaussianModel(TinyModel):
    """Mu and sigma are linear in the picture."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        self.heads = torch.randn(2, self.resolution**2, DIM, generator=torch.Generator().manual_seed(seed)) / 12
        self.calls = 0

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        self.calls += 1
        mu, sigma = (x.flatten(1) @ head for head in self.heads)
        return mu, sigma


@pytest.fixture
def posteriors(data: TinyData) -> tuple[np.ndarray, np.ndarray]:
    x = (data.images("train").pictures / 127.5 - 1).flatten(1)
    mu, sigma = (x @ head for head in GaussianModel().heads)
    return mu.double().numpy(), sigma.double().numpy()


def test_statistics_are_what_numpy_says(data: TinyData, posteriors: tuple[np.ndarray, np.ndarray]) -> None:
    mu, sigma = posteriors
    covariance = np.cov(mu.T, bias=True) + np.diag((sigma**2).mean(axis=0))
    expected = {
        LatentMu(name="a"): mu.std(axis=0).mean(),
        LatentSigma(name="b"): abs(sigma).mean(),
        LatentSigmaMedian(name="c"): np.quantile(abs(sigma), 0.5, method="lower"),
        LatentCollapsed(name="d", below=0.3): (abs(sigma) < 0.3).mean(),
        LatentDead(name="e", variance=float(np.median(mu.var(axis=0)))): 2,
        LatentCovariance(name="f"): np.linalg.norm(covariance - np.eye(DIM)),
    }
    records = evaluate(GaussianModel(), data, list(expected), batch_size=7)
    assert [record["value"] for record in records] == pytest.approx(list(expected.values()), rel=1e-4)
    assert all(record["num_images"] == 40 for record in records)


def test_kl_of_moments_is_the_expected_difference_of_log_densities() -> None:
    mu = torch.randn(500, DIM).double() @ torch.randn(DIM, DIM).double() + torch.randn(DIM)
    sigma = torch.randn(500, DIM).double()
    mean, covariance = (moment.numpy() for moment in aggregate_moments(mu, sigma))
    x = np.random.default_rng(0).multivariate_normal(mean, covariance, 200_000)
    logs = multivariate_normal(mean, covariance).logpdf(x) - multivariate_normal(np.zeros(DIM), np.eye(DIM)).logpdf(x)
    error = 5 * logs.std() / math.sqrt(len(x))
    assert LatentKL(name="kl").value(mu, sigma) == pytest.approx(logs.mean(), abs=error)


def test_draws_of_the_posteriors_have_the_aggregate_moments() -> None:
    mu, sigma = torch.randn(4, DIM).double(), torch.randn(4, DIM).double()
    draws = (mu + torch.randn(100_000, 4, DIM) * sigma).flatten(0, 1)
    mean, covariance = aggregate_moments(mu, sigma)
    torch.testing.assert_close(draws.mean(dim=0), mean, atol=0.03, rtol=0)
    torch.testing.assert_close(draws.T.cov(), covariance, atol=0.1, rtol=0)


def test_all_statistics_share_one_look_at_the_pictures(data: TinyData) -> None:
    model = GaussianModel()
    recipes = [LatentMu(name="mu"), LatentSigma(name="sigma"), LatentKL(name="kl")]
    evaluate(model, data, recipes, batch_size=16)
    assert model.calls == 3


def test_histograms_count_every_value_and_go_into_the_record(data: TinyData) -> None:
    records = evaluate(GaussianModel(), data, [LatentMu(name="mu"), LatentSigma(name="sigma"), LatentKL(name="kl")])
    assert [sum(record["histogram"]["counts"]) for record in records[:2]] == [40 * DIM] * 2
    assert "histogram" not in records[2]


def test_a_collapsed_value_lies_in_the_middle_bin_and_far_ones_in_the_outer() -> None:
    counts = Histogram.of(torch.tensor([0.0, 1e-3, -1e-3, -70.0, 70.0, 70.0]), 1.5).counts
    assert (counts[40], counts[0], counts[-1], sum(counts)) == (3, 1, 2, 6)


def test_a_model_without_posteriors_has_no_such_statistics(data: TinyData) -> None:
    with pytest.raises(NotOffered, match="kl is about codes with a mean and a sigma"):
        LatentKL(name="kl")(Subject(TinyModel(), data))
    left_out: dict[str, str] = {}
    assert evaluate(TinyModel(), data, [LatentKL(name="kl")], not_measured=left_out) == []
    assert list(left_out) == ["kl"]
