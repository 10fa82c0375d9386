"""NVIDIA's network pickles (stylegan2-ada-pytorch, stylegan3) read as data.

Such a file holds its networks together with the source code of their classes, and ``pickle.load`` runs that code. Here
every name in the file that is not on a list is refused, and those on the list stand for something that only collects.
"""

import io
import pickle
import re
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from aestyle.errors import UserError

LR_MULTIPLIER = 0.01
"""Of NVIDIA's mapping networks, as of ours; it scales what they compute."""


class Part:
    """What is left of an object of NVIDIA's classes: the name of its class and its attributes.

    Args:
        meta: ``class_name`` and ``state``; the source of the class beside them is dropped.
    """

    def __init__(self, meta: dict[str, Any]) -> None:
        self.class_name = str(meta["class_name"])
        self.state: dict[str, Any] = dict(meta["state"])

    def children(self) -> Iterator[tuple[str, "Part"]]:
        """Its submodules by name."""
        for name, child in self.state.get("_modules", {}).items():
            if isinstance(child, Part):
                yield name, child

    def tensors(self) -> dict[str, Tensor]:
        """Parameters and buffers by the names that ``state_dict`` gives them."""
        own = {**self.state.get("_parameters", {}), **self.state.get("_buffers", {})}
        found = {name: value for name, value in own.items() if value is not None}
        for prefix, child in self.children():
            found |= {f"{prefix}.{name}": value for name, value in child.tensors().items()}
        return found


def read_network_pickle(path: Path) -> dict[str, Any]:
    """Reads a network pickle without running anything in it.

    Args:
        path: a ``.pkl`` file of stylegan2-ada-pytorch or stylegan3.

    Returns:
        State dicts under ``G``, ``G_ema`` and ``D``, as far as they are there; with D, under ``stddev_group``, the
        number of samples in a group of its minibatch standard deviation.

    Raises:
        UserError: the file names anything but tensors and networks, is damaged or missing, or its networks have
            settings that no network of ours has.
    """
    try:
        with path.open("rb") as file:
            content = _Unpickler(file).load()
        networks = {name: part for name in ("G", "G_ema", "D") if isinstance(part := content.get(name), Part)}
        found: dict[str, Any] = {name: part.tensors() for name, part in networks.items()}
        for part in networks.values():
            _refuse_other_settings(part)
        if "D" in networks:
            found["stddev_group"] = next(_attributes(networks["D"], "group_size"), 1)
    except OSError as error:
        raise UserError(f"input={path}: {error.strerror}; give a checkpoint file") from error
    except _RefusedError as error:
        raise UserError(f"{path}: refused, {error}; nothing in it was run") from error
    except Exception as error:  # a damaged file fails in as many ways as there are bytes
        raise UserError(f"{path}: damaged, or no pickle of NVIDIA's networks; get the file again") from error
    return found


class _RefusedError(Exception):
    """Says what is wrong with a file."""


class _Unpickler(pickle.Unpickler):
    """Finds what is on the list and nothing else."""

    def __init__(self, file: Any) -> None:
        super().__init__(file)
        self.allowed = _allowed()

    def find_class(self, module: str, name: str) -> Any:
        if f"{module}.{name}" not in self.allowed:
            raise _RefusedError(f"it names {module}.{name}, which is no part of a network")
        return self.allowed[f"{module}.{name}"]


def _allowed() -> dict[str, Callable[..., Any]]:
    """What a name stands for; made anew for each file, as a pickle may set attributes of what it is given."""

    class EasyDict(dict[str, Any]):
        """A dictionary."""

    class Nothing:
        """Takes the place of NumPy's numbers, which no state dict needs."""

        def __init__(self, *args: Any) -> None: ...

        def __setstate__(self, state: Any) -> None: ...

    class Network(Part):
        """An object of NVIDIA's classes."""

    def tensor(storage: Any, offset: int, size: Any, stride: Any, *_: Any) -> Tensor:
        return torch._utils._rebuild_tensor_v2(storage, offset, size, stride, False, OrderedDict())

    numpy = {
        f"{module}.multiarray.{name}" for module in ("numpy.core", "numpy._core") for name in ("scalar", "_reconstruct")
    }
    return {
        "torch_utils.persistence._reconstruct_persistent_obj": Network,
        "dnnlib.util.EasyDict": EasyDict,
        "collections.OrderedDict": OrderedDict,
        "builtins.set": set,
        "torch._utils._rebuild_tensor_v2": tensor,
        "torch._utils._rebuild_parameter": lambda data, *_: data,
        "torch.storage._load_from_bytes": lambda data: _storage(data),
        **dict.fromkeys((*numpy, "numpy.dtype", "numpy.ndarray"), Nothing),
    }


def _storage(data: bytes) -> Any:
    """A tensor's numbers, which are a file of ``torch.save`` inside the pickle."""
    try:
        return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        name = re.search(r"GLOBAL (\S+)", str(error))
        raise _RefusedError(f"a tensor in it names {name[1] if name else 'more than numbers'}") from error


def _refuse_other_settings(part: Part) -> None:
    """Looks for what changes the numbers and leaves no trace in shapes and names."""
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
    for name, child in part.children():
        _refuse_other_settings(child)
        gain = child.state.get("bias_gain", LR_MULTIPLIER)
        if part.class_name == "MappingNetwork" and abs(gain - LR_MULTIPLIER) > 1e-9:
            raise _RefusedError(f"its mapping network has lr_multiplier={gain}, those of aestyle {LR_MULTIPLIER}")
        if (activation := child.state.get("activation", "lrelu")) not in ("lrelu", "linear"):
            raise _RefusedError(f"its layer {name} has activation={activation}, those of aestyle lrelu")
        kernel = child.state.get("_buffers", {}).get("resample_filter")
        if kernel is not None and (kernel.shape != (4, 4) or not torch.allclose(kernel, torch.outer(taps, taps))):
            raise _RefusedError(f"its layer {name} has another resample_filter than [1, 3, 3, 1]")


def _attributes(part: Part, name: str) -> Iterator[Any]:
    """Values of this attribute in a network and its submodules."""
    if name in part.state:
        yield part.state[name]
    for _, child in part.children():
        yield from _attributes(child, name)
