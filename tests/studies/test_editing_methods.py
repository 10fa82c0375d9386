"""Every task of ``python -m aestyle.edit`` on an untrained model of every kind of method."""

import random
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.utils import instantiate

from aestyle.engine.module import PhasedModule
from aestyle.entry import CONF
from aestyle.errors import UserError
from aestyle.latents.directions import Directions, read_directions
from aestyle.latents.prior import prior_codes
from aestyle.protocol import LatentModel
from aestyle.resolvers import register
from aestyle.studies.editing.labels import Labels
from aestyle.studies.editing.material import Material, Task
from tests.helpers import choices
from tests.latents.conftest import build
from tests.tiny import REPRESENTATIVE

pytestmark = pytest.mark.slow

MSE, SHORT = ("loss@task.losses=mse",), ("task.schedule.steps=2",)
SMALL = {
    "attributes": ("task.least=2", "task.folds=2", "task.columns=3"),
    "direction": ("task.file=directions.safetensors", "task.strengths=[0,1]"),
    "ganspace": ("task.components=2", "task.samples=40", "task.columns=3"),
    "grid": ("task.side=3",),
    "interpolate": ("task.columns=3", "task.frames=2", "task.segments=2", "~task.distance"),
    "mix": ("task.a=2", "task.b=2"),
    "refine": ("task.steps=2", "task.perceptual=null"),
    "restarts": ("task.restarts=2", "task.columns=3", *MSE, *SHORT),
    "sefa": ("task.components=2", "task.columns=3"),
    "traverse": ("task.rows=2", "task.columns=3"),
    "truncate": ("task.images=2",),
    "upsample": ("task.factor=2", *MSE, *SHORT),
}


@pytest.fixture(scope="module")
def tasks() -> dict[str, Task]:
    """Each task as its YAML file makes it, but small."""
    register()
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return {
            name: instantiate(
                compose("edit", [f"task={name}", "ckpt=-", "output=-", *SMALL[name]]).task, _convert_="all"
            )
            for name in choices("task")
        }


def material(model: Any) -> Material:
    """Six pictures of the model, with their codes where it has no encoder."""
    names = [f"{i}" for i in range(6)]
    labels = Labels([0, 1] * 3, names)
    given = None if model.has_encoder else prior_codes(model, n=6, seed=random.randrange(99))
    return Material(model, names, model.sample(6), given, labels=lambda: labels)


def style_directions(model: Any) -> Directions:
    space = list(model.spaces)[:2][-1]
    width = model.spaces[space].shape[-1]
    return Directions(torch.randn(2, width), torch.zeros(width), torch.ones(2), space, ["a", "b"])


def refusals(model: Any) -> set[str]:
    """Tasks that have no meaning for a model."""
    layers = any(space.per_layer for space in model.spaces.values())
    sphere = model.spaces[model.code_space].sphere
    mapped = not layers and not sphere and len(model.ema["decoder"].mapping) > 0
    found = {
        "mix": not layers,
        "truncate": sphere,
        "ganspace": len(model.spaces) == 1,
        "sefa": mapped,
        "refine": not model.has_encoder,
    }
    return {name for name, refused in found.items() if refused}


@pytest.mark.parametrize("method", [*REPRESENTATIVE, "joint_ae method/generator=overparam method/encoder=matrix"])
def test_every_task_runs_or_refuses_in_one_line(
    method: str, tasks: dict[str, Task], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    model: PhasedModule = build(*f"method={method}".split()).float()
    assert isinstance(model, LatentModel)
    style_directions(model).save(Path("directions.safetensors"))
    refused = {}
    for name, task in tasks.items():
        output = tmp_path / name
        try:
            lines = task(material(model), output)
        except UserError as error:
            refused[name] = str(error)
            assert not output.exists()
            continue
        assert str(output / f"{name}.png") in lines[-1]
        assert (output / f"{name}.safetensors").is_file()
        page = (output / f"{name}.html").read_text()
        assert "data:image/png" in page
        assert "http" not in page
    assert set(refused) == refusals(model)
    assert not any("\n" in said for said in refused.values())


def test_a_style_moves_every_row_of_every_layer_or_those_of_some(tasks: dict[str, Task], tmp_path: Path) -> None:
    model = build("method=overparam").float()
    assert isinstance(model, LatentModel)
    space = model.spaces["w_rows_plus"]
    whole, part, single = (
        instantiate(
            {"_target_": "aestyle.studies.editing.ganspace.GANSpace", "components": 2, "samples": 50, **options}
        )
        for options in ({"whole": True}, {"layers": "1-2"}, {})
    )
    for task, name in ((whole, "whole"), (part, "part"), (single, "single")):
        task(material(model), tmp_path / name)
    found = {name: read_directions(tmp_path / name / "ganspace.safetensors") for name in ("whole", "part", "single")}
    assert found["whole"].directions.shape[1:] == model.spaces["w_rows"].shape
    steps = found["part"].steps(space)
    assert not steps[:, [0, 3]].any()
    expected = found["single"].steps(space)
    torch.testing.assert_close(steps[:, 1:3], expected[:, 1:3])
    assert torch.equal(expected, expected[:, :1, :1].expand_as(expected))


def test_own_directions_of_rows(tmp_path: Path) -> None:
    model = build("method=overparam").float()
    target = {"_target_": "aestyle.studies.editing.sefa.SeFa", "components": 2, "rows": "own", "layers": "0-1"}
    lines = instantiate(target)(material(model), tmp_path)
    assert "layers 0, 1 of 0-3" in lines[0]
    found = read_directions(tmp_path / "sefa.safetensors")
    assert found.space == "w_rows_plus"
    rows = found.directions[:, 0]
    torch.testing.assert_close(rows.norm(dim=-1), torch.ones(rows.shape[:-1]))
    assert not found.directions[:, 2:].any()
    with pytest.raises(UserError, match="have no rows"):
        instantiate(target)(material(build("method=stylegan2").float()), tmp_path)
