"""Which pictures are most like a given one, to see what a model has only learnt by heart."""

import torch
from torch import Tensor
from torchmetrics.functional.image import structural_similarity_index_measure

from aestyle.errors import UserError


def most_similar(x: Tensor, candidates: Tensor, count: int = 4, centre: float = 1.0, batch_size: int = 256) -> Tensor:
    """The candidates of the highest structural similarity (Wang et al., 2004) to each image; PIONEER's Figure 1.

    Args:
        x: images (N, C, R, R) in [-1, 1].
        candidates: images (M, C, R, R), as those of the training set.
        count: how many for each image.
        centre: only the central square of this share of the side is looked at, as where faces are.
        batch_size: candidates at a time; changes nothing else.

    Returns:
        Indices (N, count) of candidates, the most similar first.

    Raises:
        UserError: there are fewer candidates, or no such square.
    """
    if not 1 <= count <= len(candidates):
        raise UserError(f"count={count}: there are {len(candidates)} pictures to choose from")
    if not 0 < centre <= 1:
        raise UserError(f"centre={centre}: give a share of the side above 0, at most 1")
    side = max(1, round(centre * x.shape[-1]))
    start = (x.shape[-1] - side) // 2
    x, candidates = (images[..., start : start + side, start : start + side].float() for images in (x, candidates))
    similar = [torch.cat([_ssim(image, few) for few in candidates.split(batch_size)]) for image in x]
    return torch.stack(similar).topk(count, dim=1).indices


def _ssim(image: Tensor, others: Tensor) -> Tensor:
    similarity = structural_similarity_index_measure(others, image.expand_as(others), data_range=2.0, reduction="none")
    assert isinstance(similarity, Tensor)
    return similarity.reshape(len(others))
