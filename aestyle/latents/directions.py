"""Directions of edits: what GANSpace, SeFa and probes find, in one file format that every latent tool reads.

A safetensors file of the tensors ``directions`` (K, ...), ``mean`` (...) and ``std`` (K,), with the metadata ``space``,
``method``, ``names`` (a JSON list) and ``source``.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from aestyle.errors import UserError
from aestyle.latents.spaces import Space, get_space
from aestyle.protocol import LatentModel


@dataclass(frozen=True)
class Directions:
    """Directions in a space of a model.

    Args:
        directions: (K, ...), each shaped as a code or as its last dimensions: a single style moves all rows and layers.
        mean: the mean of the codes that they were found from, of the shape of one direction.
        std: standard deviation of those codes along each direction, (K,): one step of an edit is ``std * direction``.
        space: name of the codes' space; they fit into the wider ones too.
        names: one a direction.
        method: how they were found: ``ganspace``, ``sefa``, ``attributes``.
        source: the model.
        facts: further facts, by name.

    Raises:
        UserError: there are none, or numbers and shapes do not fit together.
    """

    directions: Tensor
    mean: Tensor
    std: Tensor
    space: str
    names: Sequence[str]
    method: str = ""
    source: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Looks at the shapes."""
        k = len(self.directions)
        if not k or self.directions.ndim < 2 or len(self.names) != k or tuple(self.std.shape) != (k,):
            raise UserError(
                f"{tuple(self.directions.shape)} are no directions with {len(self.names)} names and "
                f"standard deviations of shape {tuple(self.std.shape)}"
            )
        if self.mean.shape != self.directions.shape[1:]:
            raise UserError(f"directions of {tuple(self.directions.shape)} with a mean of {tuple(self.mean.shape)}")

    def choose(self, names: Sequence[str | int]) -> "Directions":
        """Those of these names, or numbers counted from 0, in this order.

        Raises:
            UserError: there is no such direction.
        """
        known = {**{str(i): i for i in range(len(self.names))}, **{name: i for i, name in enumerate(self.names)}}
        for name in names:
            if str(name) not in known:
                shown = ", ".join(self.names[:8]) + (", ..." if len(self.names) > 8 else "")
                raise UserError(f"there is no direction {name}: choose one of {shown}, or a number from 0")
        at = [known[str(name)] for name in names]
        return replace(self, directions=self.directions[at], std=self.std[at], names=[self.names[i] for i in at])

    def steps(self, space: Space) -> Tensor:
        """One standard deviation along each direction, as differences of codes of a space: (K, *shape of a code).

        Raises:
            UserError: they do not fit.
        """
        shape = self.directions.shape[1:]
        ahead = len(space.shape) - len(shape)
        if ahead < 0 or any(own not in (1, size) for own, size in zip(shape, space.shape[ahead:], strict=True)):
            raise UserError(f"directions {tuple(shape)} of {self.space} do not fit codes {space.shape} of {space.name}")
        scaled = self.directions * self.std.view(-1, *[1] * len(shape))
        return scaled.view(len(scaled), *[1] * ahead, *shape).expand(-1, *space.shape)

    def place(self, model: LatentModel, space: str) -> str:
        """The space in which to edit codes of ``space``: that one or, where it is wider, the directions' own.

        Raises:
            UserError: the model has no such space.
        """
        names = list(model.spaces)
        get_space(model.spaces, self.space)
        return names[max(names.index(space), names.index(self.space))]

    def save(self, path: Path) -> Path:
        """Writes the file, making its folder; gives back the path."""
        tensors = {name: getattr(self, name).detach().cpu().contiguous() for name in ("directions", "mean", "std")}
        told = {"space": self.space, "method": self.method, "source": self.source, "names": json.dumps([*self.names])}
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(tensors, path, {**self.facts, **told})
        return path


def read_directions(path: Path) -> Directions:
    """Reads what :meth:`Directions.save` wrote, onto the CPU.

    Raises:
        UserError: there is no such file, it is damaged, or it holds no directions.
    """
    if not path.is_file():
        raise UserError(f"{path}: there is no such file; give directions that task=ganspace, sefa or attributes wrote")
    try:
        with safe_open(path, framework="pt") as file:
            facts = dict(file.metadata() or {})
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path}: cannot be read as safetensors ({error}); write the directions again") from error
    try:
        told = {name: facts.pop(name) for name in ("space", "method", "source")}
        found = {name: tensors[name] for name in ("directions", "mean", "std")}
        return Directions(**found, names=json.loads(facts.pop("names")), **told, facts=facts)
    except (KeyError, ValueError) as error:
        raise UserError(f"{path}: holds no directions; give what task=ganspace, sefa or attributes wrote") from error
    except UserError as error:
        raise UserError(f"{path}: {error}; write the directions again") from error


def deviations(codes: Tensor, directions: Tensor) -> Tensor:
    """Standard deviations (K,) of codes (N, ...) along directions (K, ...) of length 1.

    Directions of fewer dimensions than a code, such as single styles, are met with every style of the codes.
    """
    shape = directions.shape[1:]
    vectors = codes.reshape(-1, *shape).flatten(1)
    return torch.stack([(vectors @ direction.flatten()).std() for direction in directions.to(codes)])


def style_deviations(codes: Tensor, directions: Tensor) -> Tensor:
    """Standard deviations (K,) of single styles along directions, in root mean square over layers and rows.

    Args:
        codes: (N, ..., style_dim).
        directions: (K, style_dim) or (K, ..., style_dim), every style of length 1.
    """
    along = [(codes * direction.to(codes)).sum(dim=-1).std(dim=0) for direction in directions]
    return torch.stack([std.square().mean().sqrt() for std in along])
