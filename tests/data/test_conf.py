from pathlib import Path

import pytest
from hydra.utils import instantiate
from omegaconf import OmegaConf

from aestyle.data.sources import ImageSource
from aestyle.data.splits import Split
from aestyle.data.transforms import CROPS, FILTERS, MODES

from .pictures import write_folder

CONF = Path(__file__).parents[2] / "conf" / "dataset"


@pytest.mark.parametrize("file", sorted(CONF.glob("*.yaml")), ids=lambda file: file.stem)
def test_every_data_set_file_builds_a_source_and_a_split(file: Path, tmp_path: Path) -> None:
    dataset = OmegaConf.load(file)
    assert dataset.name == file.stem
    assert dataset.help
    assert "\n" not in dataset.help
    assert dataset.channels in MODES
    assert dataset.crop in CROPS
    assert dataset.filter in FILTERS
    assert dataset.paper_resolution > 0
    if OmegaConf.is_missing(dataset, "path"):
        dataset.path = str(write_folder(tmp_path, ["a.png", "b.png", "c.png"]))
    built = instantiate(OmegaConf.create({"dataset": dataset}), _convert_="all")["dataset"]
    assert isinstance(built["source"], ImageSource)
    assert isinstance(built["split"], Split)
    assert built["split"](built["source"])["train"]
