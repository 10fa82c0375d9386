"""What one of two ranks checks; started by test_shares."""

import sys
from pathlib import Path

import torch

from aestyle.data.datamodule import ImageDataModule
from aestyle.data.sources import OrlFaces
from aestyle.data.splits import LabelSplit
from aestyle.metrics.recipe import Subject
from aestyle.studies.evaluation import evaluate, joined
from tests.metrics.every_recipe import RECIPES
from tests.metrics.latents import LinearModel


def main(cache: Path) -> None:
    people = LabelSplit(val=[1], test=list(range(2, 6)))
    data = ImageDataModule("orl_faces", OrlFaces(), people, resolution=12, channels=1, batch_size=1, seed=0)
    model = LinearModel()
    alone = {record["metric"]: record["value"] for record in evaluate(model, data, RECIPES)}
    with joined() as share:
        assert share.count == 2
        seen = sum(len(x) for x in Subject(model, data, share=share).originals("test"))
        assert 0 < seen < 40, "each rank sees a part only"
        for _ in ("computed", "from the cache"):
            together = evaluate(model, data, RECIPES, share=share, cache=cache)
            found = {record["metric"]: record["value"] for record in together}
            assert found == alone, f"{found} is not {alone}"
            assert all(answer == alone for answer in share.exchange(alone))
    print("all checks passed")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1]))
