"""What one of two ranks checks; started by test_shares."""

import sys
from pathlib import Path

import torch

from aestyle.data.datamodule import ImageDataModule
from aestyle.data.sources import OrlFaces
from aestyle.data.splits import LabelSplit
from aestyle.metrics.baselines import LinearBaseline
from aestyle.metrics.efflite0 import EffLite0Logits, PooledEffLite0
from aestyle.metrics.frechet import ReconstructionFrechetDistance, SampleFrechetDistance
from aestyle.metrics.identity import SameIdentity
from aestyle.metrics.kernel import SampleKernelDistance
from aestyle.metrics.recipe import Recipe, Subject
from aestyle.metrics.reconstruction import ReconstructionMSE
from aestyle.metrics.score import SampleScore
from aestyle.studies.evaluation import evaluate, joined
from tests.metrics.conftest import TinyModel

FEATURES = PooledEffLite0(min_size=12)
RECIPES: list[Recipe] = [
    ReconstructionMSE(name="rec_mse"),
    LinearBaseline(name="mse_pca4", components=4),
    SameIdentity(name="same_identity", extractor=FEATURES),
    ReconstructionFrechetDistance(name="rec_fd", extractor=FEATURES),
    SampleFrechetDistance(name="fd", num_images=37, extractor=FEATURES),  # batches of 16, 16 and 5
    SampleKernelDistance(name="kd", num_images=37, subsets=3, subset_size=20, extractor=FEATURES),
    SampleScore(name="score", num_images=20, splits=1, extractor=EffLite0Logits(min_size=32)),
    SampleFrechetDistance(name="one_batch", num_images=3, reference_images=3, extractor=FEATURES),  # none for rank 1
]


def main(cache: Path) -> None:
    people = LabelSplit(val=[1], test=list(range(2, 6)))
    data = ImageDataModule("orl_faces", OrlFaces(), people, resolution=12, channels=1, batch_size=1, seed=0)
    model = TinyModel(lambda x: x / 2)
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
