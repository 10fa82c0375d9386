import numpy as np
import pytest
import torch
from torch import Tensor
from torch_fidelity.metric_prc import calculate_precision_recall_full

from aestyle.errors import UserError
from aestyle.metrics import manifold
from aestyle.metrics.efflite0 import PooledEffLite0
from aestyle.metrics.manifold import Coverage, Density, Precision, Recall, coverage, density, precision, recall
from aestyle.metrics.recipe import Subject

ALL = (precision, recall, density, coverage)


def sets(n: int = 130, m: int = 170, d: int = 6, shift: float = 0.8) -> tuple[Tensor, Tensor]:
    return torch.randn(n, d).double() + shift, torch.randn(m, d).double()


@pytest.mark.parametrize("k", [1, 3, 7])
def test_precision_and_recall_equal_torch_fidelity(k: int) -> None:
    x, y = sets()
    expected = calculate_precision_recall_full(x, y, neighborhood=k)
    assert (precision(x, y, k), recall(x, y, k)) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("k", [1, 5])
def test_all_equal_their_definitions(k: int) -> None:
    x, y = (each.numpy() for each in sets(40, 50))

    def radius(points: np.ndarray, i: int) -> float:
        return sorted(np.linalg.norm(points[j] - points[i]) for j in range(len(points)) if j != i)[k - 1]

    inside = np.array([[np.linalg.norm(a - b) <= radius(y, i) for i, b in enumerate(y)] for a in x])
    reached = np.array([[np.linalg.norm(a - b) <= radius(x, i) for i, a in enumerate(x)] for b in y])
    expected = inside.any(1).mean(), reached.any(1).mean(), inside.sum(1).mean() / k, inside.any(0).mean()
    found = [measure(torch.from_numpy(x), torch.from_numpy(y), k) for measure in ALL]
    assert found == pytest.approx(expected, abs=1e-12)


def test_neither_order_nor_chunks_nor_a_common_shift_matter(monkeypatch) -> None:
    x, y = sets()
    found = [measure(x, y) for measure in ALL]
    shuffled = x[torch.randperm(len(x))], y[torch.randperm(len(y))]
    assert [measure(*shuffled) for measure in ALL] == pytest.approx(found, abs=1e-12)
    assert [measure(x + 1e4, y + 1e4) for measure in ALL] == pytest.approx(found, abs=1e-12)
    monkeypatch.setattr(manifold, "CHUNK", 7)
    assert [measure(x, y) for measure in ALL] == pytest.approx(found, abs=1e-12)


def test_equal_distributions_distant_ones_and_a_missing_mode() -> None:
    x, y = sets(600, 600, d=3, shift=0)
    assert min(precision(x, y), recall(x, y), coverage(x, y)) > 0.85
    assert density(x, y) == pytest.approx(1, abs=0.15)
    assert [measure(x + 100, y) for measure in ALL] == [0, 0, 0, 0]
    half = x[x[:, 0] > 0]
    assert precision(half, y) > 0.85
    assert max(recall(half, y), coverage(half, y)) < 0.7


def test_too_few_pictures_are_refused() -> None:
    x, y = sets(3, 20)
    assert precision(x, y, 3) >= 0
    with pytest.raises(UserError, match="neighbours=3 needs at least 4 pictures in each set, one has 3"):
        recall(x, y, 3)


@pytest.mark.parametrize("kind", [Precision, Recall, Density, Coverage])
def test_recipes_share_the_samples_features(data, make_model, kind: type) -> None:
    model, drawn = make_model(), []
    sample = model.sample
    model.sample = lambda n, seed: drawn.append(n) or sample(n, seed)
    subject = Subject(model, data)
    recipe = kind(name="x", num_images=40, neighbours=2, extractor=PooledEffLite0(min_size=12))
    result, again = recipe(subject), recipe(subject)
    assert result == again
    assert sum(drawn) == 40
    assert (result.num_images, result.seed, result.reference) == (40, 0, "train")
    assert recipe.higher_is_better
