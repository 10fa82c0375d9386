"""A trained model for use alone: averaged networks in half precision and their configuration, in one file."""

import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from aestyle.errors import UserError

SUFFIX = ".safetensors"
_EMA = "ema."


def write_slim(path: Path, checkpoint: dict[str, Any], config: str, dtype: torch.dtype = torch.float16) -> None:
    """Writes the averaged networks of a checkpoint, each number in 16 bits, whole numbers as they are.

    Args:
        path: the file, replaced atomically.
        checkpoint: a checkpoint of this suite.
        config: the configuration to carry along, as YAML.
        dtype: of the numbers, where 16 bits are not enough.

    Raises:
        UserError: a weight lies outside of the numbers' range.
    """
    averaged = {key: value for key, value in checkpoint["state_dict"].items() if key.startswith(_EMA)}
    kept = {key: _cast(value, dtype).contiguous() for key, value in averaged.items()}
    for key, value in kept.items():
        if not value.isfinite().all():
            raise UserError(f"{key} holds values that 16 bits cannot hold: use the checkpoint itself")
    state = {key: value for key, value in checkpoint["aestyle"].items() if isinstance(value, str | int)}
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        save_file(kept, temporary, metadata={"aestyle": json.dumps({**state, "config": config})})
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def read_slim(path: Path, map_location: Any = "cpu") -> dict[str, Any]:
    """What a checkpoint would hold, as far as the file goes: trained weights are the averaged ones.

    Args:
        path: written by :func:`write_slim`.
        map_location: where the tensors go.

    Raises:
        UserError: there is no such file, it is damaged, or it is not of this suite.
    """
    try:
        with safe_open(path, framework="pt", device=str(map_location)) as file:
            state = json.loads((file.metadata() or {})["aestyle"])
            stored = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except FileNotFoundError as error:
        raise UserError(f"{path}: there is no such file") from error
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path}: truncated or damaged; get the file again") from error
    except (KeyError, ValueError) as error:
        raise UserError(f"{path}: not a model of aestyle") from error
    averaged = {key: _cast(value, torch.float32) for key, value in stored.items()}
    trained = {key.removeprefix(_EMA): value.clone() for key, value in averaged.items()}
    return {"state_dict": {**averaged, **trained}, "aestyle": {"bad_steps_in_a_row": {}, **state}}


def _cast(value: Tensor, dtype: torch.dtype) -> Tensor:
    """Whole numbers, such as the counters of batch normalisation, stay whole."""
    return value.to(dtype) if value.is_floating_point() else value


def is_slim(path: Path) -> bool:
    """Whether a path names such a file."""
    return path.suffix == SUFFIX
