"""Layer mixing: pictures with some layers' styles taken from other pictures (AE-StyleGAN, Figure 6)."""

import re
from collections.abc import Sequence

import torch
from torch import Tensor

from aestyle.errors import UserError
from aestyle.latents.spaces import get_space
from aestyle.protocol import LatentModel

Layers = str | int | Sequence[str | int]
"""Layers by index, from 0: ``7``, ``[7, 8]``, ``"7-11"`` (both ends included), ``"7-"``, ``"0-2,7"``."""


def default_layers(num_layers: int) -> list[int]:
    """The layers of Figure 6, indices 7 to 11 of 12, scaled to another depth: from 7/12 of it on."""
    return list(range(round(num_layers * 7 / 12), num_layers))


def choose_layers(layers: Layers | None, num_layers: int) -> list[int]:
    """The indices that an option means.

    Args:
        layers: see :data:`Layers`; None means :func:`default_layers`.
        num_layers: how many layers there are.

    Returns:
        Indices in ascending order.

    Raises:
        UserError: it cannot be read, or names a layer that is not there.
    """
    if layers is None:
        return default_layers(num_layers)
    parts = layers.split(",") if isinstance(layers, str) else [layers] if isinstance(layers, int) else layers
    chosen: set[int] = set()
    for part in parts:
        match = re.fullmatch(r"(\d+)(?:(-)(\d*))?", str(part).strip())
        first = int(match[1]) if match else num_layers
        last = first if not match or not match[2] else int(match[3] or num_layers - 1)
        if not match or not first <= last < num_layers:
            raise UserError(f"layers={layers}: give indices or ranges of 0 to {num_layers - 1}, as 1, [0,2] or 1-3")
        chosen.update(range(first, last + 1))
    return sorted(chosen)


def to_layers(model: LatentModel, code: Tensor, space: str | None = None) -> tuple[Tensor, str]:
    """Codes with one part per layer, converted if need be.

    Args:
        model: a trained model.
        code: codes (N, ...) of a space.
        space: its name; None: the model's own.

    Returns:
        Codes (N, layers, ...) that decode to the same images, and the name of their space.

    Raises:
        UserError: no such space can be reached from there, as for a single-vector code.
    """
    space = space or model.code_space
    get_space(model.spaces, space).check(code)
    name = layered_space(model, space)
    return model.convert_code(code, space, name), name


def layered_space(model: LatentModel, space: str) -> str:
    """The first space from ``space`` on whose codes have one part per layer.

    Raises:
        UserError: there is none, as for single-vector codes.
    """
    names = list(model.spaces)
    for name in names[names.index(get_space(model.spaces, space).name) :]:
        if model.spaces[name].per_layer:
            return name
    raise UserError(f"{type(model).__name__}: its codes (space {space}) have no layers, so that none can be chosen")


def mix_layers(a: Tensor, b: Tensor, layers: Sequence[int]) -> Tensor:
    """Codes ``a`` with the given layers taken from ``b``.

    Args:
        a: codes (N, layers, style_dim).
        b: codes of the same shape.
        layers: indices of layers.
    """
    mixed = a.clone()
    mixed[:, list(layers)] = b[:, list(layers)]
    return mixed


def mix_all_pairs(a: Tensor, b: Tensor, layers: Sequence[int]) -> Tensor:
    """Every code of ``a`` with the given layers of every code of ``b``: the body of Figure 6.

    Args:
        a: codes (A, layers, style_dim): the rows.
        b: codes (B, layers, style_dim): the columns.
        layers: indices of layers.

    Returns:
        Codes (A, B, layers, style_dim).
    """
    return torch.stack([mix_layers(code.expand_as(b), b, layers) for code in a])
