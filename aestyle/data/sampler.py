"""Which picture comes when: an endless stream that any run can enter at any place."""

from collections.abc import Iterator, Mapping

import torch
from torch.utils.data import Sampler

from aestyle.data.keyed import keyed_bits
from aestyle.errors import UserError


class InfiniteBatchSampler(Sampler[list[tuple[int, int]]]):
    """Yields, for ever, the pictures of one iteration as ``(position, index)``.

    The position counts the pictures drawn since the start of the run, over all ranks: picture j of sub-batch k of the
    iteration that begins at ``images_seen`` has position ``images_seen * repeats + k * batch_size + j``, also where the
    batch size changes during the run, for it is a function of ``images_seen`` alone. Its index is
    entry ``position % num_images`` of a permutation that follows from the seed and the epoch
    ``position // num_images`` alone. So the stream is the same however often it is cut and resumed, and however it is
    shared: rank r takes j = r, r + world_size, ... of each sub-batch (interleaved, which keeps the groups of the
    minibatch standard deviation together), and the union over the ranks is the stream of a single process.

    A yielded list holds this rank's part of all sub-batches one after the other, ``repeats * batch_size / world_size``
    entries.

    Args:
        num_images: Size of the data set.
        batch_size: Pictures a sub-batch over all ranks; where it changes, the ``images_seen`` from which on each size
            holds, 0 among them, with that size.
        repeats: Sub-batches an iteration (the number n of autoencoder steps). ``images_seen`` grows by one
            ``batch_size`` an iteration nevertheless.
        seed: Seed of the run.
        start_image: ``images_seen`` where the stream is entered.
        rank: Number of this process.
        world_size: Number of processes.

    Raises:
        UserError: If a batch size cannot be shared by the processes, or there are no pictures.
    """

    def __init__(
        self,
        num_images: int,
        batch_size: int | Mapping[int, int],
        repeats: int = 1,
        seed: int = 0,
        start_image: int = 0,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        if num_images < 1:
            raise UserError("the data set has no pictures to train on; check dataset.path and dataset.split")
        self.batch_sizes = dict(batch_size) if isinstance(batch_size, Mapping) else {0: batch_size}
        for size in self.batch_sizes.values():
            refuse_unshared(size, world_size)
        self.num_images = num_images
        self.repeats = repeats
        self.seed = seed
        self.start_image = start_image
        self.rank = rank
        self.world_size = world_size

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        epoch, order = -1, list[int]()
        images_seen = self.start_image
        while True:
            drawn = []
            batch_size, start = self.batch_size_at(images_seen), images_seen * self.repeats
            for sub_batch in range(start, start + self.repeats * batch_size, batch_size):
                for position in range(sub_batch + self.rank, sub_batch + batch_size, self.world_size):
                    if position // self.num_images != epoch:
                        epoch = position // self.num_images
                        order = self.permutation(epoch).tolist()
                    drawn.append((position, order[position % self.num_images]))
            yield drawn
            images_seen += batch_size

    def batch_size_at(self, images_seen: int) -> int:
        """Pictures a sub-batch, over all ranks, of the iteration that begins there."""
        return self.batch_sizes[max(start for start in self.batch_sizes if start <= images_seen)]

    def permutation(self, epoch: int) -> torch.Tensor:
        """The order of the pictures in an epoch: int64 (num_images,), from ``torch.randperm`` under a keyed seed."""
        generator = torch.Generator().manual_seed(keyed_bits(self.seed, "order", epoch))
        return torch.randperm(self.num_images, generator=generator)


def refuse_unshared(batch_size: int, world_size: int) -> None:
    """Makes sure that all processes get the same number of pictures.

    Raises:
        UserError: They cannot.
    """
    if batch_size < 1 or batch_size % world_size:
        lower = batch_size // world_size * world_size
        nearest = " or ".join(f"batch_size={size}" for size in (lower, lower + world_size) if size > 0)
        raise UserError(f"batch_size={batch_size} cannot be shared by {world_size} process(es); use {nearest}")
