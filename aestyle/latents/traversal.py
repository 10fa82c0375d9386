"""Straight walks from codes: along directions, and toward the mean (truncation)."""

from collections.abc import Sequence

import torch
from torch import Tensor

from aestyle.errors import UserError
from aestyle.latents.mixing import Layers, choose_layers
from aestyle.latents.spaces import Space


def axis_direction(space: Space, dimension: int, layers: Layers | None = "0-") -> Tensor:
    """The direction that changes one dimension of a code.

    Args:
        space: the codes' space.
        dimension: index along a code's last dimension.
        layers: for codes with layers: those that change together (default: all).

    Returns:
        A tensor of a code's shape: 1 there, 0 elsewhere.

    Raises:
        UserError: there is no such dimension or layer.
    """
    if not 0 <= dimension < space.shape[-1]:
        raise UserError(f"dimension={dimension}: space {space.name} has the dimensions 0 to {space.shape[-1] - 1}")
    direction = torch.zeros(space.shape)
    direction[..., dimension] = 1
    return only_layers(direction, space, layers)


def only_layers(direction: Tensor, space: Space, layers: Layers | None = "0-") -> Tensor:
    """A direction of a code's shape with everything outside ``layers`` set to 0; without layers it stays as it is."""
    if not space.per_layer:
        return direction
    kept = torch.zeros_like(direction)
    chosen = choose_layers(layers, space.shape[0])
    kept[chosen] = direction[chosen]
    return kept


def widest_dimensions(codes: Tensor, n: int) -> list[int]:
    """The ``n`` indices along the last dimension in which codes (N, ..., style_dim) vary most, the widest first."""
    spread = codes.var(dim=0).reshape(-1, codes.shape[-1]).sum(dim=0)
    return spread.argsort(descending=True)[:n].tolist()


def standard_step(direction: Tensor, codes: Tensor) -> Tensor:
    """A direction scaled to one standard deviation of codes along it.

    Args:
        direction: of a code's shape and any length but 0.
        codes: many codes (N, *shape), as those of :func:`~aestyle.latents.prior.prior_codes`.

    Returns:
        A tensor of a code's shape.

    Raises:
        UserError: the direction is zero or has another shape.
    """
    if direction.shape != codes.shape[1:]:
        raise UserError(f"a direction of shape {tuple(direction.shape)} does not fit codes of {tuple(codes.shape[1:])}")
    length = direction.norm()
    if length == 0:
        raise UserError("a direction that is zero everywhere leads nowhere")
    unit = direction / length
    return unit * (codes * unit).flatten(1).sum(dim=1).std()


def traverse(codes: Tensor, step: Tensor, offsets: Sequence[float]) -> Tensor:
    """Codes moved along a direction: ``code + offset * step``; offset 0 is the code itself.

    Args:
        codes: (N, *shape).
        step: of a code's shape, as from :func:`standard_step`.
        offsets: multiples of ``step``.

    Returns:
        Codes (N, offsets, *shape).
    """
    return torch.stack([codes + offset * step for offset in offsets], dim=1)


def truncate(codes: Tensor, mean: Tensor, psis: Sequence[float]) -> Tensor:
    """The truncation trick, ``mean + psi (code - mean)`` (Karras et al., arXiv:1812.04948, Appendix B).

    Args:
        codes: (N, *shape).
        mean: (1, *shape), as from :func:`~aestyle.latents.prior.mean_code`.
        psis: 1 is the code itself, 0 the mean; above 1 exaggerates.

    Returns:
        Codes (N, psis, *shape).
    """
    return torch.stack([torch.lerp(mean.expand_as(codes), codes, psi) for psi in psis], dim=1)
