import copy
import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torch_fidelity.utils import batch_interp

from aestyle.errors import UserError
from aestyle.metrics.efflite0 import efflite0
from aestyle.metrics.path_length import PerceptualPathLength, slerp, trimmed_mean
from aestyle.metrics.recipe import SAMPLES_PER_SEED, Subject, _subseed
from tests.metrics.every_recipe import DISTANCE
from tests.metrics.latents import LinearModel, SquaredL2


def walk(**options: object) -> PerceptualPathLength:
    return PerceptualPathLength(**{"name": "ppl", "distance": SquaredL2(), "num_pairs": 150} | options)


def prior(model: LinearModel, n: int) -> Tensor:
    """Both ends (n, 2, D) of the first ways, in float64."""
    groups = range(0, n, SAMPLES_PER_SEED)
    z = [model.prior(2 * min(SAMPLES_PER_SEED, n - start), _subseed(0, start)) for start in groups]
    return torch.cat(z).double().view(n, 2, -1)


@pytest.mark.parametrize("sampling", ["end", "full"])
def test_on_lines_through_a_linear_generator_it_is_the_mean_squared_length_of_the_way(data, sampling: str) -> None:
    model = LinearModel()
    ends = prior(model, 150) @ (model.a @ model.b).double().T
    expected = trimmed_mean((ends[:, 1] - ends[:, 0]).square().sum(dim=1))
    result = walk(sampling=sampling)(Subject(model, data))
    assert result.value == pytest.approx(expected, rel=1e-3)
    assert (result.num_images, result.split, result.seed, result.extractor) == (300, "samples", 0, "pixels")


def test_on_arcs_of_a_sphere_it_is_the_mean_squared_angle(data) -> None:
    model = LinearModel()
    model.a, model.b = torch.eye(144, 5), torch.eye(5)
    model.prior = lambda n, seed=0: torch.nn.functional.normalize(LinearModel.prior(model, n, seed))
    ends = prior(model, 150)
    angles = torch.linalg.vecdot(ends[:, 0], ends[:, 1]).acos()
    for sampling in ("end", "full"):
        result = walk(space="z", sampling=sampling)(Subject(model, data))
        assert result.value == pytest.approx(trimmed_mean(angles.square()), rel=1e-3)


def test_slerp_equals_torch_fidelitys_on_unit_codes_and_reaches_both_ends() -> None:
    a, b, t = torch.randn(20, 7).double(), torch.randn(20, 7).double() * 3, torch.rand(20, 1).double()
    unit = [torch.nn.functional.normalize(code) for code in (a, b)]
    torch.testing.assert_close(slerp(*unit, t), batch_interp(*unit, t, "slerp_unit"), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(slerp(a, b, torch.zeros(20, 1).double()), a)
    torch.testing.assert_close(slerp(a, b, torch.ones(20, 1).double()), b)
    torch.testing.assert_close(slerp(a, a, t), a)


def test_the_percentiles_are_numpys() -> None:
    values = torch.rand(530).exp()
    low, high = np.percentile(values, 1, method="lower"), np.percentile(values, 99, method="higher")
    assert trimmed_mean(values) == pytest.approx(float(values[(low <= values) & (values <= high)].mean()))
    assert math.isnan(trimmed_mean(torch.tensor([1.0, torch.nan])))
    assert trimmed_mean(torch.tensor([3.0])) == 3


def test_the_crop_keeps_the_middle_of_aligned_faces(data) -> None:
    model = LinearModel()
    model.resolution, model.a = 16, torch.zeros(256, 5)
    inside = torch.zeros(16, 16, dtype=torch.bool)
    inside[6:14, 4:12] = True
    model.a[~inside.flatten()] = torch.randn(256 - 64, 5)
    assert walk(crop=True)(Subject(model, data)).value == 0
    model.a[6 * 16 + 4] = 1
    assert walk(crop=True)(Subject(model, data)).value > 0


def test_large_pictures_are_shrunk_to_256() -> None:
    sizes = {size: walk()._view(torch.rand(1, 1, size, size)).shape[-1] for size in (255, 256, 511, 512, 1024)}
    assert sizes == {255: 255, 256: 256, 511: 511, 512: 256, 1024: 256}
    x = torch.rand(1, 3, 512, 512)
    torch.testing.assert_close(walk()._view(x), torch.nn.functional.avg_pool2d(x, 2))


@pytest.mark.parametrize("space", ["w", "z"])
@pytest.mark.parametrize("sampling", ["end", "full"])
def test_float32_is_precise_enough_for_the_step(data, space: str, sampling: str, monkeypatch) -> None:
    recipe = walk(space=space, sampling=sampling, distance=DISTANCE, num_pairs=60)
    found = recipe(Subject(LinearModel(), data)).value
    precise = LinearModel()
    precise.a, precise.b = precise.a.double(), precise.b.double()
    precise.prior = lambda n, seed=0: LinearModel.prior(precise, n, seed).double()
    in_double = copy.deepcopy(efflite0("cpu")).double()
    monkeypatch.setattr("aestyle.metrics.perceptual.efflite0", lambda device: in_double)
    assert found == pytest.approx(recipe(Subject(precise, data)).value, rel=5e-3)


def test_refuses_what_it_has_no_meaning_for(data, make_model) -> None:
    with pytest.raises(UserError, match="sampling=middle: choose one of end, full"):
        walk(sampling="middle")
    with pytest.raises(UserError, match="ppl walks through space w, but this model has no latent spaces"):
        walk()(Subject(make_model(), data))
    model = LinearModel()
    without = type("WithoutW", (LinearModel,), {"spaces": property(lambda self: {"z": model.spaces["z"]})})()
    with pytest.raises(UserError, match="ppl walks through space w, but this model has only z") as error:
        walk()(Subject(without, data))
    assert "\n" not in str(error.value)
    with pytest.raises(UserError, match="ckpt="):
        walk()(Subject(None, data))
