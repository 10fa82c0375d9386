import pickle
from itertools import chain
from pathlib import Path

import pytest
from hydra.utils import instantiate
from omegaconf import OmegaConf

from aestyle.data.datamodule import ImageDataModule
from aestyle.data.sources import ImageSource
from aestyle.data.splits import Split
from aestyle.data.transforms import CROPS, FILTERS, MODES
from aestyle.errors import UserError
from aestyle.resolvers import num_ws
from aestyle.studies.preparation import build
from aestyle.studies.training import train
from tests.helpers import choices, compose_train

from . import lookalikes

NAMES = choices("dataset")


def copy_of(name: str, folder: Path) -> tuple[str, ...]:
    """Writes a small copy of a data set; the options that use it."""
    getattr(lookalikes, name)(folder)
    path = () if name == "orl_faces" else (f"dataset.path='{folder}'",)
    return (f"dataset={name}", *path)


@pytest.mark.parametrize("name", NAMES)
def test_every_data_set_file_builds_a_source_and_a_split(name: str, tmp_path: Path) -> None:
    dataset = compose_train(*copy_of(name, tmp_path)).dataset
    assert dataset.name == name
    assert dataset.help
    assert "\n" not in dataset.help
    assert dataset.channels in MODES
    assert dataset.crop in CROPS
    assert dataset.filter in FILTERS
    assert num_ws(dataset.paper_resolution) > 0
    built = instantiate(OmegaConf.create(OmegaConf.to_container(dataset, resolve=True)), _convert_="all")
    source, split = built["source"], built["split"]
    assert isinstance(source, ImageSource)
    assert isinstance(split, Split)
    splits = split(source)
    assert splits["train"]
    assert sorted(chain(*splits.values())) == list(range(len(source)))
    assert len({source.key(index) for index in range(len(source))}) == len(source)
    again = pickle.loads(pickle.dumps(source))  # what a worker process gets
    assert again.fingerprint() == source.fingerprint()
    assert again.load(0).tobytes() == source.load(0).tobytes()


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("orl_faces", "folder", "ffhq")])
def test_a_data_set_that_is_not_there_says_what_to_get_and_where_to_put_it(name: str, tmp_path: Path) -> None:
    dataset = compose_train(f"dataset={name}", f"paths.data='{tmp_path}/nowhere'").dataset
    with pytest.raises(UserError) as error:
        build(dataset.source)
    message = str(error.value)
    assert message.startswith(f"{tmp_path}/nowhere/")
    assert message.endswith(dataset.help)
    assert "\n" not in message


@pytest.mark.slow
@pytest.mark.parametrize("scale", ["cpu", "paper"])
@pytest.mark.parametrize("method", ["stylegan2", "joint_ae"])
@pytest.mark.parametrize("name", NAMES)
def test_every_data_set_composes_with_every_method_at_both_scales(name: str, method: str, scale: str) -> None:
    path = () if name == "orl_faces" else ("dataset.path=x",)
    cfg = compose_train(f"dataset={name}", f"method={method}", f"scale={scale}", *path)
    plain = OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)
    assert plain["resolution"] == (32 if scale == "cpu" else cfg.dataset.paper_resolution)
    assert plain["data"]["name"] == name


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in NAMES if name != "orl_faces"])
def test_every_look_alike_trains_two_batches(name: str, tmp_path: Path) -> None:
    options = [*copy_of(name, tmp_path / "data"), "method=joint_ae", "debug=fast", "scale=cpu", "trainer=cpu"]
    options += ["resolution=8", "batch_size=4", "kimg=0.008", "scale.mapping_depth=2", "dataset.num_workers=0"]
    options += [f"paths.data='{tmp_path}'", f"run_dir='{tmp_path / 'run'}'"]
    method = train(compose_train(*options), tmp_path / "run")
    assert method is not None
    assert method.batches_seen == 2


def test_the_data_module_takes_what_the_configuration_gives(tmp_path: Path) -> None:
    cfg = compose_train(*copy_of("folder", tmp_path / "pictures"), f"paths.data='{tmp_path}'", "resolution=8")
    data = instantiate(cfg.data, _convert_="all")
    assert isinstance(data, ImageDataModule)
    assert data.prepared == f"{tmp_path}/prepared"
