"""Values that no run can use, refused by name before anything is built."""

import inspect
import math
import multiprocessing
import os
import types
from collections.abc import Iterator
from typing import Any, get_args, get_origin, get_type_hints

from hydra.core.hydra_config import HydraConfig
from hydra.utils import get_object
from omegaconf import DictConfig, OmegaConf

from aestyle.data.splits import SPLITS
from aestyle.errors import UserError
from aestyle.resolvers import num_ws

LEAST = {
    "batch_size": 1,
    "seed": 0,
    "dataset.num_workers": 0,
    "dataset.shift": 0,
    "method.e_steps": 1,
    "method.d_steps": 1,
    "method.decoder.mapping_depth": 0,
    "scale.latent_dim": 1,
    "method.max_bad_steps": 1,
    "method.r1.every": 1,
    "method.path_length.every": 1,
    "callbacks.grids.images": 2,
    "callbacks.checkpoints.keep": 1,
}
"""The least value of whole numbers."""

POSITIVE = ("kimg", "scale.stats_kimg", "scale.grid_kimg", "scale.checkpoint_kimg")
"""Numbers that must be above 0."""

WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "a word"}


def refuse_bad_values(cfg: DictConfig) -> None:
    """Looks at the options that every run has, and at the types that the chosen classes ask for.

    Args:
        cfg: composed from ``conf/train.yaml``.

    Raises:
        UserError: names the first option with a value that it cannot have.
    """
    for name in POSITIVE:
        value = OmegaConf.select(cfg, name)
        if not _is(value, float) or value <= 0:
            raise UserError(f"{name}={value}: give a number above 0")
    for name, least in LEAST.items():
        require_whole(name, OmegaConf.select(cfg, name, default=least), least)
    if cfg.seed >= 2**32:
        raise UserError(f"seed={cfg.seed}: give a whole number below 2^32")
    _refuse_bad_launch(cfg)
    _refuse_bad_starts(cfg)
    _refuse_bad_precision(cfg)
    _refuse_bad_evaluation(cfg)
    num_ws(cfg.resolution)
    if cfg.resolution not in cfg.scale.channels:
        raise UserError(f"resolution={cfg.resolution}: scale.channels has no width for it; choose a lower one")
    for group in ("method", "data"):
        for name, value, expected in _typed(cfg[group], group):
            if value is not None and not any(_is(value, kind) for kind in expected):
                raise UserError(f"{name}={value}: give {' or '.join(WORDS[kind] for kind in expected)}")


def require_whole(name: str, value: Any, least: int) -> None:
    """Makes sure that an option is a whole number of at least ``least``.

    Raises:
        UserError: it is not; names the option.
    """
    if not _is(value, int) or value < least:
        raise UserError(f"{name}={value}: give a whole number of at least {least}")


def is_number(value: object) -> bool:
    """Whether it is a finite number, and no truth value."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _refuse_bad_launch(cfg: DictConfig) -> None:
    """Looks at how the run was started."""
    searched = HydraConfig.initialized() and "optuna" in str(HydraConfig.get().sweeper.get("_target_"))
    if searched and cfg.evaluate.best is None:
        raise UserError(
            "sweep=optuna goes by a metric: give metrics=[rec_mse] evaluate.every_kimg=<interval> evaluate.best=rec_mse"
        )
    single = {
        "sweep=optuna": searched,
        "launcher=submitit_local": os.environ.get("SUBMITIT_EXECUTOR") == "local",
        "launcher=joblib": multiprocessing.current_process().name.startswith("LokyProcess"),
    }
    for name, holds in single.items():
        if holds and cfg.trainer.devices != 1:
            raise UserError(f"{name} runs trainings of one process: take trainer=cpu or trainer=gpu")


def _refuse_bad_starts(cfg: DictConfig) -> None:
    """Looks at ``init_networks`` and ``freeze``."""
    for name in ("init_networks", "freeze"):
        value = cfg[name]
        if value is not None and not (OmegaConf.is_list(value) and all(_is(item, str) for item in value)):
            raise UserError(f"{name}={value}: give a list of names, as in {name}=[mapping,synthesis]")
    if cfg.init_networks is not None and cfg.init_from is None:
        raise UserError("init_networks says what init_from brings: give init_from=<run folder or checkpoint> as well")


def _refuse_bad_precision(cfg: DictConfig) -> None:
    """Looks at the options of how numbers are computed."""
    precision = str(cfg.trainer.precision)
    if precision in ("16-mixed", "fp16-mixed", "16") and cfg.trainer.accelerator == "cpu":
        raise UserError(f"trainer.precision={precision} needs a GPU: on the CPU, take bf16-mixed or 32-true")
    for name, value in cfg.compute.items():
        if not _is(value, bool):
            raise UserError(f"compute.{name}={value}: give true or false")
    if cfg.compute.compile and cfg.compute.recompute:
        raise UserError("compute.compile=true and compute.recompute=true do not go together: choose one")


def _refuse_bad_evaluation(cfg: DictConfig) -> None:
    """Looks at the options of evaluation along the training, and at how they go together."""
    options, metrics = cfg.evaluate, list(cfg.get("metrics") or [])
    for name in ("every_kimg", "patience_kimg"):
        value = options[name]
        if value is not None and (not _is(value, float) or value <= 0):
            raise UserError(f"evaluate.{name}={value}: give a number above 0, or null for never")
    if options.split not in (None, *SPLITS):
        raise UserError(f"evaluate.split={options.split}: choose one of {', '.join(SPLITS)}, or null")
    if options.every_kimg is None and (metrics or options.best is not None):
        raise UserError("metrics are measured along the training only with evaluate.every_kimg=<interval>: give one")
    if options.every_kimg is not None and not metrics:
        raise UserError(f"evaluate.every_kimg={options.every_kimg}: name what to measure, as in metrics=[rec_mse]")
    precision = str(OmegaConf.select(cfg, "trainer.precision", default=32))
    if options.every_kimg is not None and precision.endswith("-true") and precision != "32-true":
        raise UserError(
            f"trainer.precision={precision}: metrics are measured in 32 bits; leave evaluate.every_kimg out and "
            "measure the finished run with python -m aestyle.evaluate, or train in 32-true or a mixed precision"
        )
    if options.best is not None and options.best not in metrics:
        raise UserError(f"evaluate.best={options.best}: choose one of metrics=[{','.join(metrics)}]")
    if options.patience_kimg is not None and options.best is None:
        raise UserError("evaluate.patience_kimg waits for one metric: name it, as in evaluate.best=rec_mse")


def _typed(node: Any, name: str) -> Iterator[tuple[str, Any, list[type]]]:
    """Options below ``node`` whose class says that they are plain values: name, value, types."""
    if not OmegaConf.is_dict(node):
        return
    hints = _hints(str(node.get("_target_", "")))
    for key in node:
        kinds = [kind for kind in _alternatives(hints.get(str(key))) if kind is not types.NoneType]
        if kinds and all(kind in WORDS for kind in kinds):
            yield f"{name}.{key}", node[key], kinds
        yield from _typed(node[key], f"{name}.{key}")


def _hints(target: str) -> dict[str, Any]:
    """Type hints of a function's or class's arguments, those that a class hands on to its bases included."""
    if not target.startswith("aestyle."):
        return {}
    called = get_object(target)
    if not inspect.isclass(called):
        return get_type_hints(called)
    hints: dict[str, Any] = {}
    for base in reversed(inspect.getmro(called)):
        if base.__module__.startswith("aestyle."):
            hints |= get_type_hints(vars(base).get("__init__", object))
    return hints


def _alternatives(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) is types.UnionType else (hint,)


def _is(value: Any, kind: type) -> bool:
    """Whether ``value`` is of a plain type; a whole number is a number, true and false are none."""
    if isinstance(value, bool):
        return kind is bool
    return isinstance(value, (int, float) if kind is float else kind)
