"""Files of codes: what inversion and editing write and every latent tool reads."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from aestyle.errors import UserError
from aestyle.latents.spaces import get_space
from aestyle.protocol import LatentModel


@dataclass(frozen=True)
class Codes:
    """Codes of pictures and the model that they belong to.

    Args:
        codes: (N, *shape of a code).
        space: name of their space.
        names: one a picture.
        method: name of the model's method.
        model: the file that the model came from.
        checkpoint: identity of that file's content, see ``engine.checkpoint.identity``.
        others: further tensors of any shape, by name: where an optimisation started, an edit of the codes, ...
        facts: further facts, by name.
    """

    codes: Tensor
    space: str
    names: Sequence[str]
    method: str = ""
    model: str = ""
    checkpoint: str = ""
    others: Mapping[str, Tensor] = field(default_factory=dict)
    facts: Mapping[str, str] = field(default_factory=dict)

    def save(self, path: Path) -> Path:
        """Writes a safetensors file, replaced atomically, and makes its folder; gives back the path.

        The tensors are ``codes`` and the others; the metadata are ``space``, ``names`` (a JSON list), ``method``,
        ``model``, ``checkpoint`` and the further facts.
        """
        told = {name: getattr(self, name) for name in ("space", "method", "model", "checkpoint")}
        metadata = {**self.facts, **told, "names": json.dumps(list(self.names))}
        tensors = {"codes": self.codes, **self.others}
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        try:
            save_file({name: t.detach().cpu().contiguous() for name, t in tensors.items()}, temporary, metadata)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        return path


def read_codes(path: Path, model: LatentModel | None = None) -> Codes:
    """Reads what :meth:`Codes.save` wrote, onto the CPU.

    Args:
        path: the file.
        model: the model that the codes are for; None: any.

    Raises:
        UserError: there is no such file, it is damaged, it holds no codes, or they are none of the model's.
    """
    try:
        with safe_open(path, framework="pt") as file:
            facts = dict(file.metadata() or {})
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError as error:
        raise UserError(
            f"{path}: there is no such file; give codes that aestyle.invert or aestyle.edit wrote"
        ) from error
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path}: truncated or damaged; write the codes again") from error
    try:
        codes, space, names = tensors.pop("codes"), facts.pop("space"), json.loads(facts.pop("names"))
        told = {name: facts.pop(name, "") for name in ("method", "model", "checkpoint")}
    except (KeyError, ValueError) as error:
        raise UserError(f"{path}: holds no codes; give a file that aestyle.invert or aestyle.edit wrote") from error
    if model is not None:
        try:
            get_space(model.spaces, space).check(codes)
        except UserError as error:
            raise UserError(f"{path}: not codes of this model ({error}); invert with the model itself") from error
    return Codes(codes, space, names, **told, others=tensors, facts=facts)
