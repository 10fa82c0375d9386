"""Many codes through a model, a few at a time."""

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor

from aestyle.latents.spaces import get_space
from aestyle.protocol import LatentModel

Track = Callable[[Sequence[Tensor]], Iterable[Tensor]]
"""Passes batches on, and may show a progress bar meanwhile."""


def _untracked(batches: Sequence[Tensor]) -> Iterable[Tensor]:
    return batches


@torch.no_grad()
def decode_all(
    model: LatentModel, codes: Tensor, space: str | None = None, batch_size: int = 16, track: Track = _untracked
) -> Tensor:
    """Decodes any arrangement of codes.

    Args:
        model: a trained model.
        codes: (..., *shape of a code): rows and columns of a grid, frames of a path, ...
        space: their space; None: the model's own.
        batch_size: codes decoded at a time.
        track: wraps the batches, to show progress.

    Returns:
        Images in the same arrangement, (..., C, R, R), not clamped.
    """
    shape = code_shape(model, space)
    leading = codes.shape[: codes.ndim - len(shape)]
    batches = codes.reshape(-1, *shape).split(batch_size)
    images = torch.cat([model.decode(batch, space) for batch in track(batches)])
    return images.reshape(*leading, *images.shape[1:])


@torch.no_grad()
def encode_all(model: LatentModel, images: Tensor, batch_size: int = 16, track: Track = _untracked) -> Tensor:
    """Encodes images (N, C, R, R) in [-1, 1] into codes (N, *shape of a code) of the model's own space.

    Args:
        model: a trained model with an encoder.
        images: on the model's device.
        batch_size: images encoded at a time.
        track: wraps the batches, to show progress.
    """
    return torch.cat([model.encode(batch) for batch in track(images.split(batch_size))])


def code_shape(model: LatentModel, space: str | None = None) -> tuple[int, ...]:
    """Shape of one code of a space (None: the model's own), without the batch."""
    return get_space(model.spaces, space or model.code_space).shape
