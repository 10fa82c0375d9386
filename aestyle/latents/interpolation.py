"""Ways between codes: straight, along great circles, through several codes; how long they are as pictures."""

from collections.abc import Callable, Sequence
from itertools import combinations, pairwise

import torch
from torch import Tensor

from aestyle.errors import UserError
from aestyle.latents.batches import decode_all
from aestyle.protocol import LatentModel

Interpolation = Callable[[Tensor, Tensor, float], Tensor]
"""``(a, b, t)`` to the code at ``t`` of the way from ``a`` to ``b``."""

_SMALL = 1e-4
"""Sine of an angle below which a great circle is a straight line, or not determined."""


def lerp(a: Tensor, b: Tensor, t: float) -> Tensor:
    """Linear interpolation ``a + t (b - a)``, exact at both ends.

    Args:
        a: codes of any shape.
        b: codes of the same shape.
        t: 0 for ``a``, 1 for ``b``.
    """
    return torch.lerp(a, b, t)


def slerp(a: Tensor, b: Tensor, t: float) -> Tensor:
    """Spherical linear interpolation along the last dimension, exact at both ends (Shoemake, 1985).

    With the angle omega between two vectors: ``(sin((1-t) omega) a + sin(t omega) b) / sin(omega)``, which keeps the
    length of equally long vectors. Where a vector is zero or the angle is, this is :func:`lerp`. Opposite vectors
    have no shortest way: theirs goes over a fixed vector perpendicular to both.

    Args:
        a: codes (..., style_dim); codes with several layers are interpolated layer by layer.
        b: codes of the same shape.
        t: 0 for ``a``, 1 for ``b``.
    """
    opposite = (_sine(a, b) < _SMALL) & ((a * b).sum(dim=-1, keepdim=True) < 0)
    if not opposite.any():
        return _arc(a, b, t)
    middle = _perpendicular(a) * (a.norm(dim=-1, keepdim=True) + b.norm(dim=-1, keepdim=True)) / 2
    detour = _arc(a, middle, 2 * t) if t < 0.5 else _arc(middle, b, 2 * t - 1)
    return torch.where(opposite, detour, _arc(a, b, t))


INTERPOLATIONS: dict[str, Interpolation] = {"lerp": lerp, "slerp": slerp}


def interpolate(codes: Tensor, steps: int, how: str = "lerp", closed: bool = False) -> Tensor:
    """A path through codes, equally many steps from each to the next.

    Args:
        codes: (K, *shape), at least two.
        steps: steps between neighbours; with 1 the path is the codes themselves.
        how: ``lerp`` or ``slerp``.
        closed: the path goes on to the first code and ends one step before it, so that it can be repeated.

    Returns:
        Codes (frames, *shape), every ``steps``-th of them one of ``codes``: (K - 1) * steps + 1 frames, or K * steps
        of a closed path.

    Raises:
        UserError: there is nothing to go between, no step, or no such way.
    """
    if how not in INTERPOLATIONS:
        raise UserError(f"how={how}: choose one of {', '.join(INTERPOLATIONS)}")
    if len(codes) < 2 or steps < 1:
        raise UserError(f"interpolation takes at least 2 codes and 1 step, not {len(codes)} and {steps}")
    following = codes.roll(-1, dims=0) if closed else codes[1:]
    path = [INTERPOLATIONS[how](a, b, i / steps) for a, b in zip(codes, following, strict=False) for i in range(steps)]
    return torch.stack(path if closed else [*path, codes[-1]])


def between_corners(corners: Tensor, side: int, how: str = "slerp") -> Tensor:
    """A square of codes between four: down the left edge (0 to 2) and the right one (1 to 3), then across each row.

    Args:
        corners: (4, *shape): top left, top right, bottom left, bottom right.
        side: codes in a row and in a column.
        how: ``lerp`` or ``slerp``.

    Returns:
        Codes (side, side, *shape) with ``corners`` at its corners.

    Raises:
        UserError: there are not four corners, the side is below 2, or there is no such way.
    """
    if len(corners) != 4:
        raise UserError(f"a square has 4 corners, not {len(corners)}")
    edges = zip(interpolate(corners[[0, 2]], side - 1, how), interpolate(corners[[1, 3]], side - 1, how), strict=True)
    return torch.stack([interpolate(torch.stack(ends), side - 1, how) for ends in edges])


def choose_pairs(count: int, which: str = "neighbours") -> list[tuple[int, int]]:
    """Pairs of numbers below ``count``.

    Args:
        count: how many codes there are.
        which: ``neighbours``: (0, 1), (1, 2), ...; ``all``: each with every later one.

    Raises:
        UserError: there is no such choice.
    """
    if which not in ("neighbours", "all"):
        raise UserError(f"pairs={which}: choose one of neighbours, all")
    return list(pairwise(range(count)) if which == "neighbours" else combinations(range(count), 2))


def path_lengths(
    model: LatentModel,
    codes: Tensor,
    pairs: Sequence[tuple[int, int]],
    distance: Callable[[Tensor, Tensor], Tensor],
    space: str | None = None,
    segments: int = 5,
    how: str = "lerp",
    batch_size: int = 16,
) -> Tensor:
    """How far apart the pictures on the ways between codes are: the sum of distances of neighbours on a way.

    It is the path metric of the paper on overparameterised StyleGAN (section 4.3): 5 segments, ends included.

    Args:
        model: a trained model.
        codes: (N, *shape of a code).
        pairs: numbers of the codes at both ends of each way.
        distance: images to others (N, C, R, R) to one distance a picture, (N,).
        space: the codes' space; None: the model's own.
        segments: parts of a way.
        how: ``lerp`` or ``slerp``.
        batch_size: pictures at a time.

    Returns:
        One length a pair, on the CPU.
    """
    lengths = []
    for a, b in pairs:
        frames = decode_all(model, interpolate(codes[[a, b]], segments, how), space, batch_size)
        lengths.append(distance(frames[:-1], frames[1:]).sum().cpu())
    return torch.stack(lengths)


def _arc(a: Tensor, b: Tensor, t: float) -> Tensor:
    unit_a, unit_b = _unit(a), _unit(b)
    # accurate for all angles, unlike the arc cosine of the scalar product
    omega = 2 * torch.atan2((unit_a - unit_b).norm(dim=-1, keepdim=True), (unit_a + unit_b).norm(dim=-1, keepdim=True))
    # each weight is divided by itself at its end, which gives exactly 1
    curved = torch.sin((1 - t) * omega) / torch.sin(omega) * a + torch.sin(t * omega) / torch.sin(omega) * b
    return torch.where(_sine(a, b) < _SMALL, torch.lerp(a, b, t), curved)


def _sine(a: Tensor, b: Tensor) -> Tensor:
    """Sine of the angle; 0 where a vector is zero."""
    unit_a, unit_b = _unit(a), _unit(b)
    sine = (unit_a - unit_b).norm(dim=-1, keepdim=True) * (unit_a + unit_b).norm(dim=-1, keepdim=True) / 2
    return sine * unit_a.norm(dim=-1, keepdim=True) * unit_b.norm(dim=-1, keepdim=True)


def _unit(v: Tensor) -> Tensor:
    return torch.nan_to_num(v / v.norm(dim=-1, keepdim=True), nan=0.0)


def _perpendicular(v: Tensor) -> Tensor:
    """A unit vector perpendicular to each ``v``: the axis farthest from it, made perpendicular."""
    axis = torch.zeros_like(v).scatter_(-1, v.abs().argmin(dim=-1, keepdim=True), 1.0)
    unit = _unit(v)
    return _unit(axis - (axis * unit).sum(dim=-1, keepdim=True) * unit)
