"""One data module for every data set: a source of pictures, a split and a preparation."""

import os
import signal
import threading
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal, cast

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from aestyle.data.archive import Archive, find_archive
from aestyle.data.keyed import keyed_bits
from aestyle.data.pictures import ImageSet, Pictures
from aestyle.data.sampler import InfiniteBatchSampler
from aestyle.data.sources import ImageSource
from aestyle.data.splits import SPLITS, Split
from aestyle.data.transforms import Preparation, to_float
from aestyle.errors import UserError

CACHE_BYTES = 512 * 2**20
"""With ``cache="auto"``, data sets up to this size are kept in memory."""


class ImageDataModule(pl.LightningDataModule):
    """Pictures for training as an endless keyed stream, and for evaluation in a fixed order.

    Training starts where the method's ``images_seen`` stands and draws ``batches_per_iteration`` sub-batches an
    iteration. Which picture comes, and whether it is mirrored, follows from the seed and the position in the stream,
    whatever the number of workers, ranks and restarts. Needs ``Trainer(use_distributed_sampler=False)``.

    Args:
        name: Name of the data set.
        source: The pictures.
        split: What is for training, validation and test.
        resolution: Height and width of the images in pixels.
        channels: 1 for grey, 3 for RGB.
        batch_size: Images a sub-batch over all ranks, unless the method has its own sizes (``batch_sizes``).
        seed: Seed of the run.
        flip: Whether half of the training images are mirrored left to right.
        shift: Training images are moved by up to this many pixels in each direction, for very small data sets.
        crop: One of ``aestyle.data.transforms.CROPS``.
        filter: One of ``aestyle.data.transforms.FILTERS``.
        num_workers: Processes that load training images; 0 loads in this process.
        cache: Whether decoded images stay in memory; ``auto`` keeps up to 512 MB.
        prepared: Folder of prepared archives. If it holds one of these very pictures, made with these very options,
            they are read from there: the same tensors, without decoding.

    Raises:
        UserError: If an option has no such value.
    """

    def __init__(
        self,
        name: str,
        source: ImageSource,
        split: Split,
        resolution: int,
        channels: int,
        batch_size: int,
        seed: int,
        flip: bool = True,
        shift: int = 0,
        crop: str = "center",
        filter: str = "lanczos",
        num_workers: int = 0,
        cache: bool | Literal["auto"] = "auto",
        prepared: str | None = None,
    ) -> None:
        super().__init__()
        self.name = name
        self.source = source
        self.split = split
        self.resolution = resolution
        self.channels = channels
        self.batch_size = batch_size
        self.seed = seed
        self.flip = flip
        self.shift = shift
        self.num_workers = num_workers
        self.cache = cache
        self.prepared = prepared
        self.preparation = Preparation(resolution, channels, crop, filter)
        self._pictures = Pictures(source, self.preparation)
        self._splits: dict[str, list[int]] = {}

    def setup(self, stage: str = "fit") -> None:
        """Split the pictures and, if they fit, decode them into memory; does nothing the second time.

        Raises:
            UserError: If nothing is left to train on, or pictures cannot be used (one line for all of them).
        """
        if self._splits:
            return
        if self.prepared:
            folder = Path(self.prepared)
            self.source = find_archive(folder, str(self.name), self.source, self.preparation) or self.source
            self._pictures = Pictures(self.source, self.preparation)
        splits = self.split(self.source)
        if not splits["train"]:
            raise UserError(f"dataset {self.name}: nothing is left to train on; hold out less with dataset.split")
        fits = self._pictures.num_bytes <= CACHE_BYTES
        if fits if self.cache == "auto" else self.cache:
            self._pictures.cache(progress=self.trainer is None or self.trainer.is_global_zero)
        self._splits = splits

    def record(self) -> dict[str, Any]:
        """What a result should say of the pictures: how they were prepared, and hashes where an archive has them."""
        self.setup()
        return self.source.record() if isinstance(self.source, Archive) else asdict(self.preparation)

    def has(self, split: str) -> bool:
        """Whether ``split`` holds any pictures."""
        self.setup()
        return bool(self._splits[split])

    def images(self, split: str) -> ImageSet:
        """The pictures of a split, in a fixed order and never mirrored.

        Args:
            split: One of ``train``, ``val``, ``test``.

        Raises:
            UserError: If there is no such split, or it is empty.
        """
        if split not in SPLITS:
            raise UserError(f"split={split}: choose one of {', '.join(SPLITS)}")
        self.setup()
        if not self._splits[split]:
            raise UserError(
                f"dataset {self.name}: its {split} split is empty; "
                f"use split=train or dataset.split.{split}={self.split.example}"
            )
        return ImageSet(self._pictures, self._splits[split])

    def train_dataloader(self) -> DataLoader[dict[str, Tensor]]:
        """The endless stream from the method's ``images_seen`` on; batches are ``{"image": uint8 (n, C, R, R)}``."""
        trainer = cast(pl.Trainer, self.trainer)
        method = cast(Any, trainer.lightning_module)
        sampler = InfiniteBatchSampler(
            num_images=len(self._splits["train"]),
            batch_size=method.batch_sizes(self.batch_size),
            repeats=int(method.batches_per_iteration),
            seed=self.seed,
            start_image=int(method.images_seen),
            rank=trainer.global_rank,
            world_size=trainer.world_size,
        )
        return _Loader(
            _TrainImages(self.images("train"), self.seed, self.flip, self.shift),
            batch_sampler=sampler,
            collate_fn=_whole,
            num_workers=self.num_workers,
            persistent_workers=self.num_workers > 0,
            worker_init_fn=_leave_signals_to_the_training,
            pin_memory=torch.cuda.is_available(),
            # Its own generator: a loader without one draws from the global one when it starts.
            generator=torch.Generator().manual_seed(self.seed),
        )

    def on_after_batch_transfer(self, batch: dict[str, Tensor], dataloader_idx: int) -> dict[str, Tensor]:
        """On the device, uint8 images become float32 in [-1, 1]."""
        return {**batch, "image": to_float(batch["image"])}


class _TrainImages(Dataset[dict[str, Tensor]]):
    """Training images by (position in the stream, number in the set), mirrored and moved by draws of the position.

    A loader asks for whole batches: no picture that is in memory is touched alone.
    """

    def __init__(self, images: ImageSet, seed: int, flip: bool, shift: int) -> None:
        self._images = images
        self._seed = seed
        self._flip = flip
        self._shift = shift

    def __getitems__(self, drawn: Sequence[tuple[int, int]]) -> dict[str, Tensor]:
        images = self._images.batch([index for _, index in drawn])
        if self._flip:
            mirrored = self._bits("flip", drawn) == 1
            images = torch.where(mirrored[:, None, None, None], images.flip(-1), images)
        if self._shift:
            choices = 2 * self._shift + 1
            cell = self._bits("shift", drawn, choices**2)
            images = moved(images, cell // choices - self._shift, cell % choices - self._shift)
        return {"image": images}

    def _bits(self, name: str, drawn: Sequence[tuple[int, int]], below: int = 2) -> Tensor:
        """A keyed number in [0, below) for each picture: int64 (n,)."""
        return torch.tensor([keyed_bits(self._seed, name, position) % below for position, _ in drawn])


def _whole(batch: Any) -> Any:
    """What stands in for the collecting of single pictures."""
    return batch


def moved(images: Tensor, down: Tensor, right: Tensor) -> Tensor:
    """Images (N, C, H, W), each moved by its own whole pixels (N,); what comes in repeats the edge."""
    height, width = images.shape[-2:]
    rows = (torch.arange(height) - down[:, None]).clamp(0, height - 1)
    columns = (torch.arange(width) - right[:, None]).clamp(0, width - 1)
    images = images.gather(2, rows[:, None, :, None].expand_as(images))
    return images.gather(3, columns[:, None, None, :].expand_as(images))


def _leave_signals_to_the_training(worker: int) -> None:
    """Lets a worker outlive a SIGTERM that goes to all processes of a run, as SLURM and ``timeout`` send it.

    The training process still needs its workers for the iteration behind which it saves and stops; only it ends them.
    """
    if hasattr(signal, "sigwaitinfo"):  # not on macOS
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        threading.Thread(target=_end_when_told, daemon=True).start()


def _end_when_told() -> None:
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != os.getppid():
        pass
    os._exit(0)


class _Loader(DataLoader[dict[str, Tensor]]):
    """A loader whose workers report a broken picture in one line, as the process itself does."""

    def __iter__(self) -> Iterator[dict[str, Tensor]]:  # type: ignore[override]
        try:
            yield from super().__iter__()
        except UserError as error:
            # A worker hands over the whole traceback as the message; its last line is the message that was meant.
            raise UserError(str(error).strip().splitlines()[-1].split("UserError: ")[-1]) from None
