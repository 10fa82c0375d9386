"""What the prior's codes are like in any space of a model: their mean and their spread."""

import torch
from torch import Tensor

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
    """The mean of ``n`` codes of the prior, (1, *shape of a code): wbar of the truncation trick."""
    return prior_codes(model, space, n).mean(dim=0, keepdim=True)
