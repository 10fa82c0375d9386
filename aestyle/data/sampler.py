"""Which picture comes when: an endless stream that any run can enter at any place."""

from collections.abc import Iterator

import torch
from torch.utils.data import Sampler

from aestyle.data.keyed import keyed_bits
from aestyle.errors import UserError


class InfiniteBatchSampler(Sampler[list[tuple[int, int]]]):
    """Yields, for ever, the pictures of one iteration as ``(position, index)``.

    The position counts the pictures drawn since the start of the run, over all ranks: picture j of sub-batch k of the
    iteration that begins at ``images_seen`` has position ``images_seen * repeats + k * batch_size + j``. Its index is
    entry ``position % num_images`` of a permutation that follows from the seed and the epoch
    ``position // num_images`` alone. So the stream is the same however often it is cut and resumed, and however it is
    shared: rank r takes j = r, r + world_size, ... of each sub-batch (interleaved, which keeps the groups of the
    minibatch standard deviation together), and the union over the ranks is the stream of a single process.

    A yielded list holds this rank's part of all sub-batches one after the other, ``repeats * batch_size / world_size``
    entries.

    Args:
        num_images: Size of the data set.
        batch_size: Pictures a sub-batch over all ranks.
        repeats: Sub-batches an iteration (the number n of autoencoder steps). ``images_seen`` grows by one
            ``batch_size`` an iteration nevertheless.
        seed: Seed of the run.
        start_image: ``images_seen`` where the stream is entered.
        rank: Number of this process.
        world_size: Number of processes.

    Raises:
        UserError: If the batch size cannot be shared by the processes, or there are no pictures.
    """

    def __init__(
        self,
        num_images: int,
        batch_size: int,
        repeats: int = 1,
        seed: int = 0,
        start_image: int = 0,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        if num_images < 1:
            raise UserError("the data set has no pictures to train on; check dataset.path and dataset.split")
        if batch_size < 1 or batch_size % world_size:
            lower = batch_size // world_size * world_size
            nearest = " or ".join(f"batch_size={size}" for size in (lower, lower + world_size) if size > 0)
            raise UserError(f"batch_size={batch_size} cannot be shared by {world_size} process(es); use {nearest}")
        self.num_images = num_images
        self.batch_size = batch_size
        self.repeats = repeats
        self.seed = seed
        self.start_image = start_image
        self.rank = rank
        self.world_size = world_size

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        epoch, order = -1, list[int]()
        start = self.start_image * self.repeats
        while True:
            drawn = []
            for sub_batch in range(start, start + self.repeats * self.batch_size, self.batch_size):
                for position in range(sub_batch + self.rank, sub_batch + self.batch_size, self.world_size):
                    if position // self.num_images != epoch:
                        epoch = position // self.num_images
                        order = self.permutation(epoch).tolist()
                    drawn.append((position, order[position % self.num_images]))
            yield drawn
            start += self.repeats * self.batch_size

    def permutation(self, epoch: int) -> torch.Tensor:
        """The order of the pictures in an epoch: int64 (num_images,), from ``torch.randperm`` under a keyed seed."""
        generator = torch.Generator().manual_seed(keyed_bits(self.seed, "order", epoch))
        return torch.randperm(self.num_images, generator=generator)
