"""What the prior's codes are like in any space of a model: their mean and their spread."""

import math

import torch
from torch import Tensor

from aestyle.latents.spaces import Space, get_space
from aestyle.protocol import LatentModel


@torch.no_grad()
def prior_codes(model: LatentModel, space: str | None = None, n: int = 4096, seed: int = 0) -> Tensor:
    """Codes of samples, in a space of choice.

    Args:
        model: a trained model.
        space: name of the space; None: the model's own.
        n: number of codes; the first ones do not depend on it.
        seed: keys them.

    Returns:
        Codes (n, *shape of a code).
    """
    return model.convert_code(model.prior(n, seed), next(iter(model.spaces)), space or model.code_space)


def mean_code(model: LatentModel, space: str | None = None, n: int = 4096) -> Tensor:
    """The mean of codes of the prior, (1, *shape of a code): wbar of the truncation trick.

    Where codes are matrices whose rows are distributed alike, it is the mean of rows too.

    Args:
        model: a trained model.
        space: name of the space; None: the model's own.
        n: number of codes.
    """
    space = space or model.code_space
    narrow = _narrow(model, space)
    sizes = [min(affordable(model), n - done) for done in range(0, n, affordable(model))]
    parts = [prior_codes(model, narrow.name, size, seed).sum(dim=0, keepdim=True) for seed, size in enumerate(sizes)]
    mean = torch.cat(parts).sum(dim=0, keepdim=True) / n
    if narrow.rows:
        mean = mean.mean(dim=-2, keepdim=True).expand_as(mean)
    return model.convert_code(mean, narrow.name, space) if narrow.name != space else mean


def spread(model: LatentModel, space: str, n: int = 4096) -> float:
    """Root mean square distance of the prior's styles from their mean, the projector's ``w_std`` of stylegan2-ada.

    Args:
        model: a trained model.
        space: name of the space.
        n: number of codes, fewer if they are large.
    """
    name = _narrow(model, space).name
    codes = prior_codes(model, name, affordable(model, n))
    return float((codes - mean_code(model, name, n)).square().sum(dim=-1).mean().sqrt())


def _narrow(model: LatentModel, space: str) -> Space:
    """The space itself if it is the prior's, else that of F's outputs, which wider spaces only repeat."""
    get_space(model.spaces, space)
    names = list(model.spaces)
    return model.spaces[names[min(names.index(space), 1)]]


def affordable(model: LatentModel, n: int = 4096) -> int:
    """``n``, or as many prior codes of the model as fit into 64 MB in single precision."""
    return max(1, min(n, 2**24 // math.prod(next(iter(model.spaces.values())).shape)))
