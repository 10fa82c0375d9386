"""The few values that the configuration computes; registered once, before Hydra composes anything."""

import hashlib
import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, MissingMandatoryValue, OmegaConf
from omegaconf.errors import InterpolationToMissingValueError

from aestyle.errors import UserError

_PACKAGE = Path(__file__).parent
CONF = _PACKAGE / "conf" if (_PACKAGE / "conf" / "train.yaml").exists() else _PACKAGE.parent / "conf"
"""The configuration: inside the package in a wheel, beside it in a checkout."""

NOT_IDENTITY = (
    *("run_dir", "kimg", "paths", "logger", "trainer", "compute", "callbacks", "metrics", "evaluate", "hydra"),
    "data",
)
"""Top-level keys that may differ between two starts of the same run: where and how it is computed, what it logs and
measures, how long it goes on.

``data`` only repeats what ``dataset`` says.
"""


def cuda_available() -> bool:
    """Whether CUDA can be used; torch, which takes seconds to import, is asked only where a driver may be."""
    driver = any(Path(device).exists() for device in ("/dev/nvidia0", "/dev/nvidiactl", "/dev/dxg", "/dev/kfd"))
    if not driver and shutil.which("nvidia-smi") is None:
        return False
    import torch

    return torch.cuda.is_available()


def identity(cfg: DictConfig) -> dict[str, Any]:
    """What makes a run this run: its configuration, resolved, without where and how long it runs.

    A top-level option that is left empty says nothing, so that runs from before it was there keep their identity.
    """
    plain = {str(key): _plain(cfg[key]) for key in cfg if key not in NOT_IDENTITY}
    plain = {key: value for key, value in plain.items() if value not in (None, [])}
    plain.get("dataset", {}).pop("num_workers", None)
    return plain


def _plain(node: Any) -> Any:
    return OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node


def run_name(_root_: DictConfig) -> str:
    """Folder name of a run: method, data set, scale, seed and a hash of its identity; the same on every rank."""
    try:
        plain = identity(_root_)
    except (MissingMandatoryValue, InterpolationToMissingValueError):
        return "incomplete"  # the command refuses to start with a value missing, and names it
    digest = hashlib.sha256(json.dumps(plain, sort_keys=True, default=str).encode()).hexdigest()[:8]
    return f"{plain['method']['name']}-{plain['dataset']['name']}-{plain['scale']['name']}-s{plain['seed']}-{digest}"


def num_ws(resolution: int) -> int:
    """Number of styles of a generator of this resolution: 2 log2(resolution) - 2.

    Raises:
        UserError: ``resolution`` is not a power of two of at least 8.
    """
    if not isinstance(resolution, int) or resolution < 8 or resolution & (resolution - 1):
        raise UserError(f"resolution={resolution} is not a power of two of at least 8: choose 32, 64, 128, ...")
    return 2 * int(math.log2(resolution)) - 2


def auto_gamma(resolution: int, batch_size: int) -> float:
    """Gamma of R1 as stylegan2-ada's ``auto`` sets it: ``0.0002 resolution^2 / batch_size``.

    Raises:
        UserError: ``resolution`` or ``batch_size`` is no such number.
    """
    num_ws(resolution)
    return float(0.0002 * resolution**2 / _batch(batch_size))


def auto_lr(resolution: int) -> float:
    """Learning rate as stylegan2-ada's ``auto`` sets it: 0.0025, from 1024 px on 0.002.

    Raises:
        UserError: ``resolution`` is no resolution.
    """
    num_ws(resolution)
    return 0.002 if resolution >= 1024 else 0.0025


def auto_ema(batch_size: int) -> float:
    """Half-life of averaged weights in thousand images as stylegan2-ada's ``auto`` sets it: ``10 batch_size / 32``.

    Raises:
        UserError: ``batch_size`` is no positive whole number.
    """
    return _batch(batch_size) * 10 / 32


def _batch(batch_size: int) -> int:
    if not isinstance(batch_size, int) or batch_size < 1:
        raise UserError(f"batch_size={batch_size}: give a whole number of at least 1")
    return batch_size


def at_scale(key: str, values: dict[str, Any], _root_: DictConfig) -> Any:
    """A method's own value for the scale in use: ``${at_scale:stage_kimg,{cpu:8,paper:2400}}``.

    The scale's option ``key`` where it has one, as a scale file of your own may; else the value for its name.

    Raises:
        UserError: there is neither.
    """
    scale = _root_.scale
    if key in scale:
        return scale[key]
    if scale.name not in values:
        raise UserError(f"scale={scale.name} does not say what method={_root_.method.name} takes: give it a {key}")
    value = values[scale.name]
    return (
        OmegaConf.create(value) if isinstance(value, dict | list) else value
    )  # plain ones cannot be resolved in place


def choices(group: str) -> str:
    """The names in a configuration group, for help texts."""
    return ", ".join(sorted(path.stem for path in (CONF / group).glob("*.yaml")))


def register() -> None:
    """Registers every resolver: ``auto_scale``, ``auto_trainer``, ``run_name``, ``num_ws``, ..."""
    resolvers: dict[str, Callable[..., Any]] = {
        "auto_scale": lambda: "paper" if cuda_available() else "cpu",
        "auto_trainer": lambda: "gpu" if cuda_available() else "cpu",
        "run_name": run_name,
        "num_ws": num_ws,
        "auto_gamma": auto_gamma,
        "auto_lr": auto_lr,
        "auto_ema": auto_ema,
        "at_scale": at_scale,
        "choices": choices,
        "absolute": lambda path: str(Path(path).absolute()),
    }
    for name, function in resolvers.items():
        OmegaConf.register_new_resolver(name, function, replace=True)
