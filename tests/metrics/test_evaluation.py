import json
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import DictConfig
from rich.console import Console

from aestyle.data.archive import archive_name
from aestyle.data.datamodule import ImageDataModule
from aestyle.data.sources import ImageFolder
from aestyle.data.splits import FractionSplit
from aestyle.data.transforms import Preparation
from aestyle.data.writing import write_archive
from aestyle.errors import UserError
from aestyle.metrics.efflite0 import PooledEffLite0
from aestyle.metrics.frechet import SampleFrechetDistance
from aestyle.metrics.recipe import Recipe
from aestyle.metrics.reconstruction import ReconstructionMSE
from aestyle.studies.evaluation import append_records, evaluate, find_device, table
from tests.helpers import write_pictures

CONF = Path(__file__).parents[2] / "conf"
SETS = {"cpu", "demo", "latent", *(p.stem for p in (CONF / "metrics").glob("study*.yaml"))}
SINGLES = sorted(path.stem for path in (CONF / "metrics").glob("*.yaml") if path.stem not in SETS)
CONTRACT = {
    *("metric", "value", "kimg", "checkpoint", "extractor", "resize", "num_images", "split", "seed", "seconds", "data"),
}


def composed(*overrides: str) -> DictConfig:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("evaluate", list(overrides))


def recipes(*overrides: str) -> list[Recipe]:
    return [instantiate(recipe) for recipe in composed(*overrides).metrics.values()]


@pytest.mark.slow
@pytest.mark.parametrize("name", SINGLES)
def test_each_file_defines_the_recipe_of_its_name(name: str) -> None:
    (recipe,) = recipes(f"metrics={name}")
    assert isinstance(recipe, Recipe)
    assert recipe.name == name


def test_sets_lists_and_repetitions_compose() -> None:
    assert list(composed("metrics=[rec_mse,fd_efflite0]").metrics) == ["rec_mse", "fd_efflite0"]
    assert {"rec_mse", "fd_efflite0"} <= set(composed("metrics=cpu").metrics) <= set(SINGLES)
    assert composed("metrics=demo").metrics == composed("metrics=[demo,rec_mse]").metrics
    assert {"rec_mse", "mse_mean_image", "mse_pca8", "mse_pca16", "mse_pca32", "same_identity", "fd_efflite0"} <= set(
        composed("metrics=demo").metrics
    )
    assert composed("metrics=[rec_mse]", "metrics.rec_mse.split=val").metrics.rec_mse.split == "val"


def test_records_hold_every_fact_and_are_added_to_the_file(data, make_model, tmp_path: Path) -> None:
    chosen = recipes("metrics=[demo,rec_psnr]", "metrics.fd_efflite0.num_images=30")
    records = evaluate(make_model(), data, chosen, checkpoint="last.ckpt", kimg=1.5)
    assert all(set(record) >= CONTRACT for record in records)
    append_records(records[:2], tmp_path)
    lines = append_records(records, tmp_path).read_text().splitlines()
    assert len(lines) == len(records) + 2
    read = {line["metric"]: line for line in map(json.loads, lines)}
    assert read["same_identity"]["value"] == 1
    assert read["rec_psnr"]["value"] is None  # infinite for an exact copy, which JSON cannot say
    assert read["fd_efflite0"] | {"value": 0, "seconds": 0} == {
        "metric": "fd_efflite0",
        "value": 0,
        "split": "train",
        "num_images": 30,
        "seed": 0,
        "extractor": "efflite0/block10",
        "resize": "bilinear antialias, at least 96 px",
        "reference": "train",
        "kimg": 1.5,
        "checkpoint": "last.ckpt",
        "seconds": 0,
        "data": data.record(),
    }


def test_records_say_how_the_pictures_were_prepared_and_which_they_are(make_model, tmp_path: Path) -> None:
    source = ImageFolder(write_pictures(tmp_path / "set", *(f"{i}.png" for i in range(6))))
    options = {"resolution": 8, "channels": 1, "crop": "stretch", "filter": "box"}

    def record() -> dict[str, object]:
        split = FractionSplit(0, 0.5)
        data = ImageDataModule("set", source, split, batch_size=1, seed=0, prepared=str(tmp_path / "ready"), **options)
        (found,) = evaluate(make_model(), data, [ReconstructionMSE(name="rec_mse")])
        return found["data"]

    assert record() == options
    preparation = Preparation(**options)
    archive = write_archive(tmp_path / "ready" / archive_name("set", source, preparation), source, preparation)
    assert record() == {
        **options,
        "source_sha256": archive.header["source_sha256"],
        "images_sha256": archive.header["images_sha256"],
        "pictures": 6,
        "left_out": 0,
    }


def test_leaves_model_and_generators_as_they_were(data, make_model) -> None:
    seen = []

    def change(x: torch.Tensor) -> torch.Tensor:
        seen.extend(module.training for module in model.modules())
        return model.layers(x.flatten()[:2].expand(2, 2)).mean() + x

    model = make_model(change).train()
    model.layers[1].eval()
    modes = [module.training for module in model.modules()]
    generator, state = torch.get_rng_state(), {key: value.clone() for key, value in model.state_dict().items()}
    evaluate(model, data, [ReconstructionMSE(name="rec_mse")])
    assert not any(seen)
    assert [module.training for module in model.modules()] == modes
    assert torch.equal(torch.get_rng_state(), generator)
    assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_restores_the_mode_when_a_metric_fails(data, make_model) -> None:
    def fail(x: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("boom")

    model = make_model(fail).train()
    with pytest.raises(RuntimeError, match="boom"):
        evaluate(model, data, [ReconstructionMSE(name="rec_mse")])
    assert all(module.training for module in model.modules())


def test_refuses_before_it_measures(data, make_model) -> None:
    measured = []
    model = make_model(lambda x: measured.append(x) or x)
    with pytest.raises(UserError, match="val split is empty"):
        evaluate(model, data, [ReconstructionMSE(name="a"), ReconstructionMSE(name="b", split="val")])
    assert not measured


def test_shows_progress_and_a_table(data, make_model) -> None:
    console = Console(record=True, force_terminal=True, width=100)
    fd = SampleFrechetDistance(name="fd_x", num_images=20, extractor=PooledEffLite0(min_size=12))
    records = evaluate(make_model(), data, [ReconstructionMSE(name="rec_mse"), fd], console=console)
    console.print(table(records))
    shown = console.export_text()
    assert all(word in shown for word in ("rec_mse", "fd_x", "test", "efflite0/block10", "20"))


def test_devices() -> None:
    assert find_device("auto").type in {"cpu", "cuda"}
    assert find_device("cpu") == torch.device("cpu")
    for name in ("gpu", "cuda:99"):
        with pytest.raises(UserError, match=f"device={name} is not available"):
            find_device(name)
