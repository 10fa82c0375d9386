import random
from itertools import islice
from pathlib import Path
from types import SimpleNamespace

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor

from aestyle.data.datamodule import ImageDataModule
from aestyle.data.keyed import keyed_bits
from aestyle.data.sampler import InfiniteBatchSampler
from aestyle.data.sources import ImageFolder, OrlFaces
from aestyle.data.splits import FractionSplit, LabelSplit
from aestyle.errors import UserError

from .pictures import Listed, write_folder


def module(images_seen: int = 0, repeats: int = 1, rank: int = 0, world_size: int = 1, **options) -> ImageDataModule:
    given = {
        "name": "listed",
        "source": Listed([f"{n}.png" for n in range(13)]),
        "split": FractionSplit(0, 0),
        "resolution": 8,
        "channels": 3,
        "batch_size": 4,
        "seed": 5,
    }
    data = ImageDataModule(**(given | options))
    method = SimpleNamespace(
        images_seen=torch.tensor(images_seen), batches_per_iteration=repeats, batch_sizes=lambda size: {0: size}
    )
    data.trainer = SimpleNamespace(  # type: ignore[assignment]
        lightning_module=method, global_rank=rank, world_size=world_size, is_global_zero=rank == 0
    )
    data.setup("fit")
    return data


def batches(data: ImageDataModule, n: int) -> list[Tensor]:
    return [batch["image"] for batch in islice(data.train_dataloader(), n)]


def test_batches_are_the_sampler_s_pictures_mirrored_by_position() -> None:
    seed = random.randrange(2**32)
    data = module(seed=seed, repeats=2, images_seen=12)
    images = data.images("train")
    stream = InfiniteBatchSampler(13, 4, repeats=2, seed=seed, start_image=12)
    for batch, drawn in zip(batches(data, 9), stream, strict=False):
        assert batch.shape == (8, 3, 8, 8)
        assert batch.dtype == torch.uint8
        for image, (position, index) in zip(batch, drawn, strict=True):
            plain = images.batch([index])[0]
            assert torch.equal(image, plain.flip(-1) if keyed_bits(seed, "flip", position) & 1 else plain)


def test_without_flips_pictures_come_as_they_are() -> None:
    data = module(flip=False)
    drawn = torch.cat(batches(data, 3))
    order = InfiniteBatchSampler(13, 4, seed=5).permutation(0)[:12].tolist()
    assert torch.equal(drawn, data.images("train").batch(order))


@pytest.mark.parametrize("cache", [True, False])
def test_workers_and_cache_change_nothing(cache: bool) -> None:
    plain = torch.stack(batches(module(), 8))
    torch.manual_seed(random.randrange(2**32))
    state = torch.get_rng_state()
    worked = torch.stack(batches(module(num_workers=2, cache=cache), 8))
    assert torch.equal(plain, worked)
    assert torch.equal(torch.get_rng_state(), state)  # loading leaves the global generator alone


def test_a_resumed_run_and_two_ranks_see_the_same_images() -> None:
    whole = torch.stack(batches(module(), 6))
    assert torch.equal(torch.stack(batches(module(images_seen=12), 3)), whole[3:])
    halves = [torch.stack(batches(module(rank=rank, world_size=2), 6)) for rank in (0, 1)]
    assert torch.equal(torch.stack(halves, 2).flatten(1, 2), whole)


def test_after_transfer_images_are_floats_between_minus_one_and_one() -> None:
    images = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
    floats = module().on_after_batch_transfer({"image": images}, 0)["image"]
    assert floats.dtype == torch.float32
    assert torch.allclose(floats, images / 127.5 - 1)


def test_image_sets_are_fixed_lists_of_the_split() -> None:
    source = OrlFaces()
    split = LabelSplit(val=[35, 36], test=[37, 38, 39, 40])
    test = module(source=source, split=split, channels=1, resolution=16).images("test")
    assert len(test) == 40
    assert test.labels == [person for person in (37, 38, 39, 40) for _ in range(10)]
    assert test.keys[0] == "s37/1.pgm"
    whole = torch.cat(list(test.batches(7)))
    assert whole.shape == (40, 1, 16, 16)
    picks = random.sample(range(40), 5)
    assert torch.equal(test.batch(picks), whole[picks])
    assert torch.equal(
        module(source=source, split=split, channels=1, resolution=16).images("test").batch(picks), whole[picks]
    )
    assert test.batch([]).shape == (0, 1, 16, 16)


def test_empty_splits_are_refused_in_one_line() -> None:
    with pytest.raises(
        UserError, match=r"^dataset listed: its test split is empty; use split=train or dataset.split.test=0.05$"
    ):
        module().images("test")
    with pytest.raises(UserError, match="split=tset: choose one of train, val, test"):
        module().images("tset")
    with pytest.raises(UserError, match="nothing is left to train on"):
        module(source=Listed(["a", "b"], labels=[0, 1]), split=LabelSplit(val=[0], test=[1]))


def test_all_broken_files_are_reported_at_once(tmp_path: Path) -> None:
    write_folder(tmp_path, [f"{n}.png" for n in range(9)])
    for n in (1, 3, 5, 6, 8):
        (tmp_path / f"{n}.png").write_text("text")
    with pytest.raises(UserError) as error:
        module(source=ImageFolder(tmp_path))
    message = str(error.value)
    assert message.startswith(f"{tmp_path}: 5 unusable pictures: 1.png, 3.png, 5.png and 2 more; the first: ")
    assert message.endswith("replace or remove this file")
    assert "\n" not in message


@pytest.mark.parametrize("num_workers", [0, 1])
def test_a_broken_file_met_on_the_way_is_one_line_also_from_a_worker(tmp_path: Path, num_workers: int) -> None:
    write_folder(tmp_path, ["a.png"])
    (tmp_path / "a.png").write_text("text")
    data = module(source=ImageFolder(tmp_path), cache=False, num_workers=num_workers)
    with pytest.raises(UserError) as error:
        batches(data, 1)
    assert str(error.value) == f"{tmp_path}/a.png: is not a picture that can be read; replace or remove this file"


def test_wrong_size_names_the_file(tmp_path: Path) -> None:
    write_folder(tmp_path, ["x/a.png"], size=(12, 10))
    with pytest.raises(UserError, match=r"x/a\.png: is 12x10, not 8x8"):
        module(source=ImageFolder(tmp_path), crop="none")


class Recorder(pl.LightningModule):
    """Keeps the batches that a real Trainer hands over."""

    batches_per_iteration = 2

    def __init__(self, stop_at: int, images_seen: int = 0) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.images_seen = images_seen
        self.stop_at = stop_at
        self.seen: list[Tensor] = []

    def batch_sizes(self, batch_size: int) -> dict[int, int]:
        return {0: batch_size}

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        self.seen.append(batch["image"].clone())
        self.images_seen += 4
        self.trainer.should_stop = self.images_seen >= self.stop_at

    def configure_optimizers(self) -> None:
        return None


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_trainer_that_stops_and_starts_again_sees_one_stream(tmp_path: Path) -> None:
    def run(start: int, stop: int, num_workers: int) -> list[Tensor]:
        method = Recorder(stop, start)
        data = ImageDataModule(
            "listed", Listed([f"{n}.png" for n in range(13)]), FractionSplit(0, 0), 8, 3, 4, 5, num_workers=num_workers
        )
        trainer = pl.Trainer(
            accelerator="cpu",
            devices=1,
            max_epochs=-1,
            use_distributed_sampler=False,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            default_root_dir=tmp_path,
        )
        trainer.fit(method, datamodule=data)
        return method.seen

    whole = run(0, 24, 0)
    assert len(whole) == 6
    assert whole[0].shape == (8, 3, 8, 8)
    assert whole[0].dtype == torch.float32
    assert torch.equal(torch.stack(run(0, 8, 2) + run(8, 24, 2)), torch.stack(whole))


@pytest.mark.slow
def test_shifts_are_drawn_by_position_and_repeat_the_edge() -> None:
    shifted, plain = (torch.cat(batches(module(flip=False, shift=shift), 30)) for shift in (2, 0))
    padded = torch.nn.functional.pad(plain.float(), (2, 2, 2, 2), mode="replicate").to(torch.uint8)
    windows = torch.stack([padded[:, :, y : y + 8, x : x + 8] for y in range(5) for x in range(5)])
    found = (windows == shifted).flatten(2).all(dim=2)
    assert found.any(dim=0).all()
    assert (found.sum(dim=1) > 0).sum() > 15  # of 25 windows in 120 draws
    again = torch.cat(batches(module(flip=False, shift=2, images_seen=40), 20))
    assert torch.equal(shifted[40:], again)
