"""A buffer of earlier generated images (Shrivastava et al., 2017), the same on all ranks and part of the checkpoint."""

import torch
from torch import Tensor, nn

from aestyle.engine.distributed import gather_over_ranks, rank, world_size
from aestyle.engine.draws import Draws
from aestyle.errors import UserError


class History(nn.Module):
    """Mixes images of earlier iterations into a batch.

    While the buffer fills, it stores what comes and hands it on. Once full, each image is swapped with probability
    ``p`` for a stored one, drawn at random. Images of another size start it anew. Every rank sees the images of all
    ranks in their global order, so that the buffers are equal, and equal to that of one process.

    Args:
        size: images it holds, half as many of 256 pixels and more.
        p: probability of a swap.

    Raises:
        UserError: it would hold nothing.
    """

    images: Tensor

    def __init__(self, size: int = 200, p: float = 0.5) -> None:
        super().__init__()
        if size < 1:
            raise UserError(f"method.history.size={size}: give a whole number of at least 1, or method.history=null")
        self.size = size
        self.p = p
        # Not a common part of the state: its size changes, and loading wants sizes to agree.
        self.register_buffer("images", torch.empty(0), persistent=False)

    def forward(self, images: Tensor, draws: Draws) -> Tensor:
        """Images (N, C, H, W) of this rank, without gradient, some of them replaced by earlier ones."""
        size = self.size if images.shape[-1] < 256 else self.size // 2
        uniforms = gather_over_ranks(draws.uniforms("history", (2,), len(images))).tolist()
        mixed = gather_over_ranks(images.detach())
        fits = self.images.shape[1:] == images.shape[1:]
        stored = list(self.images) if fits else []
        for i, (coin, where) in enumerate(uniforms):
            if len(stored) < size:
                stored.append(mixed[i].clone())
            elif coin < self.p:
                slot = int(where * size)
                stored[slot], mixed[i] = mixed[i].clone(), stored[slot]
        self.images = torch.stack(stored)
        return mixed[rank() :: world_size()]

    def get_extra_state(self) -> Tensor:
        """The stored images, however many there are."""
        return self.images

    def set_extra_state(self, state: Tensor) -> None:
        """Restores them."""
        self.images = state.to(self.images)
