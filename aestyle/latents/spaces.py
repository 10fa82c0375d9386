"""Latent spaces: what a code of a model looks like, without ever guessing it from a tensor's rank."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from aestyle.errors import UserError
from aestyle.protocol import LatentModel

WORDS = {"matrix": "w_rows", "layer_matrices": "w_rows_plus"}
"""Other names of spaces, for people."""


@dataclass(frozen=True)
class Space:
    """One latent space of a model.

    Args:
        name: ``z``, ``w``, ``w_plus``, ``w_rows``, ...
        shape: shape of one code, without the batch.
        per_layer: whether a code has one part per layer along its first dimension, so that layers can be mixed.
        rows: whether a layer's part is a matrix (rows, style_dim) whose rows the prior distributes alike.
        sphere: whether codes are directions: their length says nothing.
    """

    name: str
    shape: tuple[int, ...]
    per_layer: bool = False
    rows: bool = False
    sphere: bool = False

    def check(self, code: Tensor) -> Tensor:
        """Gives back ``code`` if it is a batch of codes of this space.

        Raises:
            UserError: its shape is another one.
        """
        if tuple(code.shape[1:]) != self.shape:
            expected = ", ".join(map(str, ("N", *self.shape)))
            raise UserError(f"a code of space {self.name} has the shape ({expected}), not {tuple(code.shape)}")
        return code


def get_space(spaces: Mapping[str, Space], name: str) -> Space:
    """The space of this name.

    Raises:
        UserError: the model has no such space.
    """
    if name not in spaces:
        raise UserError(f"space={name!r} is none of this model's spaces: {', '.join(spaces)}")
    return spaces[name]


def find_space(model: LatentModel, word: str | None = None) -> str:
    """The name of the space that a word means: its name, one of :data:`WORDS`, or ``code`` for the model's own.

    Args:
        model: a trained model.
        word: None means ``code``.

    Raises:
        UserError: the model has no such space.
    """
    name = model.code_space if word in (None, "code") else WORDS.get(str(word), str(word))
    if name not in model.spaces:
        raise UserError(f"space={word}: this model has the spaces {', '.join(model.spaces)}")
    return name
