"""What holds for every metric: nothing that is not part of its definition changes it, and it changes nothing."""

import math
from collections.abc import Sequence

import pytest
import torch
from hydra.utils import instantiate

from aestyle.metrics.recipe import Recipe, Subject
from aestyle.studies.evaluation import evaluate
from tests.metrics.every_recipe import FEATURES, RECIPES
from tests.metrics.latents import LinearModel
from tests.tiny import compose_tiny, differences


def values(data, recipes: Sequence[Recipe] = RECIPES, **options: int) -> dict[str, float]:
    return {record["metric"]: record["value"] for record in evaluate(LinearModel(), data, recipes, **options)}


def test_neither_batch_size_nor_the_other_recipes_change_a_figure(data) -> None:
    found = values(data)
    assert len(found) == len(RECIPES)
    assert all(map(math.isfinite, found.values())), found
    for options in ({"batch_size": 1}, {"batch_size": 7}, {"batch_size": 64, "recipes": RECIPES[::-1]}):
        assert values(data, **options) == pytest.approx(found, rel=2e-4), options


@pytest.mark.parametrize("recipe", [r for r in RECIPES if r.name != "rec_kd"], ids=lambda recipe: recipe.name)
def test_the_order_of_the_pictures_does_not_matter(data, recipe: Recipe) -> None:
    """Kernel distances draw subsets, sliced ones patches, which other orders change; so do parts of a split."""
    found = values(data, [recipe])
    parts = {"kd", "one_batch", "recall", "real_swd", "swd_std", "rec_rmse_std"}  # these take a part of the pictures
    if recipe.name not in parts:
        for images in data.splits.values():
            order = torch.randperm(len(images))
            images.pictures = images.pictures[order]
            images.labels = images.labels and [images.labels[i] for i in order]
    assert values(data, [recipe]) == pytest.approx(found, rel=1e-4)


@pytest.mark.parametrize("method", ["stylegan2", "joint_ae"])
def test_a_model_in_training_stays_bitwise_as_it_was(data, method: str) -> None:
    model = instantiate(compose_tiny(f"method={method}", "dataset=orl_faces").method, _convert_="all").train()
    for split in data.splits.values():
        split.pictures = split.pictures[..., :8, :8]
    for parameter in model.parameters():
        parameter.grad = torch.randn_like(parameter)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    grads = [parameter.grad.clone() for parameter in model.parameters()]
    needed = [parameter.requires_grad for parameter in model.parameters()]
    modes, generator = [module.training for module in model.modules()], torch.get_rng_state()
    without_encoder = [r for r in RECIPES if "rec" not in r.name.split("_") and r.name != "same_identity"]
    for _ in range(2):
        evaluate(model, data, RECIPES if method == "joint_ae" else without_encoder)
    assert not differences(dict(model.state_dict()), before)
    assert not differences([parameter.grad for parameter in model.parameters()], grads)
    assert [parameter.requires_grad for parameter in model.parameters()] == needed
    assert [module.training for module in model.modules()] == modes
    assert torch.equal(torch.get_rng_state(), generator)


def test_reconstructed_samples_are_decoded_from_their_codes(data) -> None:
    (recipe,) = (r for r in RECIPES if r.name == "sample_rec_fd")
    model, seen = LinearModel(), []
    model.change = lambda x: seen.append(x) or x / 2
    features = recipe.features(Subject(model, data))
    samples = torch.cat(list(Subject(LinearModel(), data).samples(37, seed=0)))
    assert torch.equal(torch.cat(seen), samples)
    expected = Subject(model, data).extract(FEATURES, [samples / 2])
    torch.testing.assert_close(features, expected, rtol=1e-3, atol=1e-3)
