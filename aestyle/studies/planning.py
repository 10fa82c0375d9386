"""What of a study is done, and what is left to do."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from hydra import compose
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from aestyle.errors import UserError
from aestyle.resolvers import identity
from aestyle.studies.results import Result, read_result, results_folder, runs_folder, write_result
from aestyle.studies.study import Job, Study

PLACES = frozenset({"path", "prepared", "init_from", "ckpt", "help"})
"""Options that say where something is, and so may differ between machines."""

FULL_PRECISION = ("32-true", "32")
"""What Lightning calls 32 bits."""


class State(StrEnum):
    """What is known of a job."""

    DONE = "done"
    MISSING = "missing"
    CHANGED = "configuration changed"
    UNMEASURED = "metrics missing"
    REFUSED = "refused"


@dataclass(frozen=True)
class Order:
    """All that is needed to carry out a job, in plain values, for it may travel to another process.

    Args:
        job: the run and seed.
        config: the options that decide its result, flat; see :func:`comparable`.
        recipes: definitions of its metrics by name.
        kimg: thousand images to train on.
        problem: why it cannot be started; empty if it can.
    """

    job: Job
    config: dict[str, Any] = field(default_factory=dict)
    recipes: dict[str, dict[str, Any]] = field(default_factory=dict)
    kimg: float = 0.0
    problem: str = ""

    @cached_property
    def config_hash(self) -> str:
        """By it a result is known to belong to this configuration."""
        return _digest({**self.config, "kimg": self.kimg})[:16]

    @cached_property
    def folder(self) -> str:
        """Name of its run folder. It leaves the budget out: a run that gets a larger one goes on."""
        return f"{self.job.name}-{_digest(self.config)[:8]}"


@dataclass(frozen=True)
class Plan:
    """The jobs of a study at one scale.

    Args:
        study: the study.
        scale: ``cpu`` or ``paper``.
        orders: every job.
        runs: folder for run folders of all scales; None: the default.
    """

    study: Study
    scale: str
    orders: tuple[Order, ...]
    runs: Path | None = None

    @classmethod
    def of(cls, study: Study, scale: str, jobs: Iterable[Job], runs: str | Path | None = None) -> "Plan":
        """Composes every configuration; call it where Hydra is initialised.

        Args:
            study: the study.
            scale: ``cpu`` or ``paper``.
            jobs: of that study and scale; those that others start from must be among them.
            runs: folder for run folders; None: the default.
        """
        composer = _Composer()
        by_name = {job.name: job for job in jobs}
        orders: dict[str, Order] = {}

        def order_of(job: Job) -> Order:
            if job.name not in orders:
                before = order_of(by_name[job.before]) if job.before else None
                orders[job.name] = composer.order(job, before)
            return orders[job.name]

        return cls(study, scale, tuple(order_of(job) for job in by_name.values()), Path(runs) if runs else None)

    def order(self, name: str) -> Order:
        """The order of a job's name."""
        return next(order for order in self.orders if order.job.name == name)

    def before(self, order: Order) -> Order | None:
        """The order that this one starts from."""
        return self.order(order.job.before) if order.job.before else None

    def result(self, order: Order) -> Result | None:
        """Its result file, whatever configuration it belongs to."""
        return read_result(self.study, order.job)

    def state(self, order: Order) -> State:
        """What is known of it."""
        result = self.result(order)
        if result is not None and result["config_hash"] == order.config_hash:
            measured = {*result["metrics"], *result.get("not_measured", {})}
            return State.DONE if measured >= set(order.recipes) else State.UNMEASURED
        if order.problem:
            return State.REFUSED
        return State.MISSING if result is None else State.CHANGED

    def differences(self, order: Order) -> list[str]:
        """In which options a result's configuration differs from the present one."""
        result = self.result(order) or {}
        old, new = result.get("config", {}), _json({**order.config, "kimg": order.kimg})
        keys = sorted(key for key in {*old, *new} if old.get(key, "(none)") != new.get(key, "(none)"))
        return [f"{key}={old.get(key, '(none)')} there, {new.get(key, '(none)')} here" for key in keys]

    def run_dir(self, order: Order) -> Path:
        """Its run folder: where its result comes from, or where it will be trained."""
        result = self.result(order)
        folder = result["folder"] if result and result["config_hash"] == order.config_hash else order.folder
        return runs_folder(self.study, self.scale, self.runs) / str(folder)

    @property
    def results_folder(self) -> Path:
        """Where the result files go."""
        return results_folder(self.study, self.scale)

    def adopt(self, orders: Iterable[Order]) -> None:
        """Gives jobs the result of another one with the very same configuration: it is not trained twice."""
        done = {order.config_hash: order for order in self.orders if self.state(order) == State.DONE}
        for order in orders:
            twin = done.get(order.config_hash)
            if twin is None or self.state(order) == State.DONE or not set(order.recipes) <= set(twin.recipes):
                continue
            result = self.result(twin)
            own = {"run": order.job.run, "overrides": list(order.job.overrides)}
            write_result(self.study, order.job, {**(result or {}), **own})

    def accept(self, orders: Iterable[Order]) -> None:
        """Takes results of a changed configuration for those of the present one."""
        for order in orders:
            result = self.result(order)
            if result is not None and not order.problem:
                own = {"config_hash": order.config_hash, "config": _json({**order.config, "kimg": order.kimg})}
                write_result(self.study, order.job, {**result, **own})

    def estimate(self, orders: Iterable[Order]) -> float | None:
        """Seconds that these jobs will take one after the other, from what finished ones took on an image of training.

        None if no run has finished, so that nothing is known.
        """
        took: dict[str, list[float]] = {}
        for order in self.orders:
            result = self.result(order)
            if result:
                seconds = (result["train_seconds"] + result["evaluate_seconds"]) / result["kimg"]
                took.setdefault(order.job.run, []).append(seconds)
        if not took:
            return None
        typical = float(np.mean([np.mean(values) for values in took.values()]))
        return sum(float(np.mean(took.get(o.job.run, [typical]))) * o.kimg for o in orders)


class _Composer:
    """Composes a run's configuration once for all of its seeds, and its metrics once for all runs."""

    def __init__(self) -> None:
        self._configs: dict[tuple[str, ...], DictConfig] = {}
        self._recipes: dict[tuple[str, ...], dict[str, dict[str, Any]]] = {}

    def order(self, job: Job, before: Order | None) -> Order:
        try:
            cfg = self._config(job)
            config = comparable(cfg)
            kimg = float(cfg.kimg)
            recipes = self._recipes_of(job.metrics)
        except (HydraException, OmegaConfBaseException, UserError, ValueError) as error:
            return Order(job, problem=one_line(error))
        if before is not None:
            config = {**config, "after": before.config_hash}
            if before.problem:
                return Order(job, config, recipes, kimg, f"starts after {before.job.name}, which is refused")
        return Order(job, config, recipes, kimg)

    def _config(self, job: Job) -> DictConfig:
        if job.overrides not in self._configs:
            self._configs[job.overrides] = compose("train", list(job.overrides))
        cfg = self._configs[job.overrides]
        cfg.seed = job.seed
        return cfg

    def _recipes_of(self, metrics: tuple[str, ...]) -> dict[str, dict[str, Any]]:
        if metrics not in self._recipes:
            cfg = compose("evaluate", [f"metrics=[{','.join(metrics)}]"])
            recipes = OmegaConf.to_container(cfg.metrics, resolve=True) if metrics else {}
            self._recipes[metrics] = {recipe["name"]: recipe for recipe in recipes.values()}  # type: ignore[union-attr]
        return self._recipes[metrics]


def comparable(cfg: DictConfig) -> dict[str, Any]:
    """The options that decide the result of a training, by dotted name.

    Places are left out, for the same run is the same one on every machine, and so are empty options: results stay valid
    when an option is added that is empty by default. Of the trainer only a precision other than 32 bits counts.

    Args:
        cfg: composed from ``conf/train.yaml``.
    """
    options = _flat(identity(cfg))
    precision = str(OmegaConf.select(cfg, "trainer.precision", default=FULL_PRECISION[0]))
    if precision not in FULL_PRECISION:
        options["trainer.precision"] = precision
    return {
        key: value
        for key, value in options.items()
        if key.rpartition(".")[2] not in PLACES and value not in (None, [], {}) and not _is_absolute(value)
    }


def _is_absolute(value: Any) -> bool:
    return isinstance(value, str) and Path(value).is_absolute()


def _flat(node: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(node, dict) or not node:
        return {prefix[:-1]: node}
    return {key: value for name, child in node.items() for key, value in _flat(child, f"{prefix}{name}.").items()}


def _json(config: Mapping[str, Any]) -> dict[str, Any]:
    """As it reads back from a file."""
    plain: dict[str, Any] = json.loads(json.dumps(config, default=str))
    return plain


def _digest(config: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(config, sort_keys=True, default=str).encode()).hexdigest()


def one_line(error: BaseException) -> str:
    """What went wrong, for a list of runs: the message that was meant for the user, where there is one."""
    chain = [error]
    while cause := chain[-1].__cause__ or chain[-1].__context__:
        chain.append(cause)
    told = next((cause for cause in chain if isinstance(cause, UserError)), error)
    lines = [line.strip() for line in str(told).splitlines() if line.strip()]
    if lines and isinstance(told, UserError | HydraException):
        return lines[0]
    return f"{type(told).__name__}: {' '.join(lines[:2])}"


def duration(seconds: float) -> str:
    """For people: ``40 s``, ``12.5 min``, ``3.1 h``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def in_waves(plan: Plan, orders: Sequence[Order]) -> list[list[Order]]:
    """Orders grouped so that each comes after the one that it starts from."""
    waves: dict[int, list[Order]] = {}
    for order in orders:
        waves.setdefault(_depth(plan, order), []).append(order)
    return [waves[depth] for depth in sorted(waves)]


def _depth(plan: Plan, order: Order) -> int:
    before = plan.before(order)
    return 0 if before is None else 1 + _depth(plan, before)
