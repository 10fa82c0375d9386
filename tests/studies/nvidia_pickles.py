"""Writes files as NVIDIA's programs do: their networks pickled together with the source of their classes."""

import pickle
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

SOURCE = "import pathlib\npathlib.Path({trap!r}).mkdir()\nclass Generator: ...\n"
BUFFERS = ("resample_filter", "noise_const", "w_avg")


class EasyDict(dict[str, Any]):
    """Their dictionary with attributes."""


EasyDict.__module__ = "dnnlib.util"


def _reconstruct_persistent_obj(meta: dict[str, Any]) -> Any:
    exec(meta["module_src"], {})


_reconstruct_persistent_obj.__module__ = "torch_utils.persistence"


@contextmanager
def nvidia_modules() -> Iterator[None]:
    """Their modules, which writing such a file needs and reading it must not."""
    modules = {name: ModuleType(name) for name in ("torch_utils", "torch_utils.persistence", "dnnlib", "dnnlib.util")}
    modules["torch_utils.persistence"]._reconstruct_persistent_obj = _reconstruct_persistent_obj  # type: ignore[attr-defined]
    modules["dnnlib.util"].EasyDict = EasyDict  # type: ignore[attr-defined]
    sys.modules.update(modules)
    try:
        yield
    finally:
        for name in modules:
            del sys.modules[name]


class Persistent(nn.Module):
    """An object of a class that their decorator makes persistent.

    Args:
        class_name: name of the class.
        source: of its module, which unpickling runs.
        **attributes: what the class sets beside parameters, buffers and submodules.
    """

    def __init__(self, class_name: str, source: str = "", **attributes: Any) -> None:
        super().__init__()
        self._init_args = ()
        self._init_kwargs = EasyDict(attributes)
        self.__dict__.update(attributes)
        self.meta = {"type": "class", "version": 6, "module_src": source, "class_name": class_name}

    def __reduce__(self) -> Any:
        state = {name: value for name, value in self.__dict__.items() if name != "meta"}
        return _reconstruct_persistent_obj, ({**self.meta, "state": state},), None


def network(name: str, state: Mapping[str, Tensor], source: str = "", **changes: Any) -> Persistent:
    """A network with these tensors.

    Args:
        name: of its class.
        state: what its ``state_dict`` gives.
        source: of the module of its classes.
        **changes: other values of attributes, wherever they are.
    """
    top = Persistent(name, source, c_dim=0, img_resolution=32)
    for key, value in state.items():
        part = top
        *path, leaf = key.split(".")
        for step in path:
            if step not in part._modules:
                part.add_module(step, Persistent(*_layer(step), **{**_attributes(step, path), **changes}))
            part = part.get_submodule(step)  # type: ignore[assignment]
        if leaf in BUFFERS:
            part.register_buffer(leaf, value.clone())
        else:
            part.register_parameter(leaf, nn.Parameter(value.clone(), requires_grad=False))
    if name == "Discriminator":
        group = {"group_size": 4, "num_channels": 1, **changes}
        top.get_submodule("b4").add_module("mbstd", Persistent("MinibatchStdLayer", **group))
    return top


def _layer(step: str) -> tuple[str]:
    names = {"mapping": "MappingNetwork", "synthesis": "SynthesisNetwork", "affine": "FullyConnectedLayer"}
    return (names.get(step, "FullyConnectedLayer" if step.startswith("fc") else "SynthesisLayer"),)


def _attributes(step: str, path: list[str]) -> dict[str, Any]:
    if step in ("mapping", "synthesis"):
        return {"w_dim": 64}
    gain = {"bias_gain": 0.01 if path[0] == "mapping" else 1} if step == "affine" or step.startswith("fc") else {}
    activation = "linear" if step in ("affine", "torgb", "skip", "out") else "lrelu"
    return {"activation": activation, "weight_gain": 1 / np.sqrt(64), "conv_clamp": None, **gain}


def write_network_pickle(path: Path, protocol: int = 4, **content: Any) -> Path:
    """Writes a snapshot of training.

    Args:
        path: the file.
        protocol: 3 is Python 3.7's, 4 that of its successors.
        **content: beside the networks there are the augmentation and the arguments of the data set.
    """
    augment = Persistent("AugmentPipe", p=0)
    augment.register_buffer("Hz_geom", torch.ones(12))
    data = {"training_set_kwargs": EasyDict(path="ffhq.zip", use_labels=False), "augment_pipe": augment, **content}
    with nvidia_modules(), path.open("wb") as file:
        pickle.dump(data, file, protocol=protocol)
    return path
