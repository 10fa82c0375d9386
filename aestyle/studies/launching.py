"""Runs what is missing of a study, through Hydra's own launchers."""

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import BrokenExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.core.plugins import Plugins
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig, open_dict

from aestyle.errors import UserError
from aestyle.studies.locking import LOCK
from aestyle.studies.planning import Order, Plan, State, duration, in_waves, one_line
from aestyle.studies.study import Study

CHECKPOINT = Path("checkpoints") / "last.ckpt"
MOST_HITS = 3
"""A run during which a worker process was killed so often is given up."""


@dataclass(frozen=True)
class Settings:
    """How runs are started.

    Args:
        runs: folder for run folders; None: ``runs/<name of the study>``.
        threads: CPU threads of each run; None leaves them.
        device: for evaluation.
        batch_size: for evaluation.
        launcher: the configuration of Hydra's launcher; None: one run after the other.
        logger: a choice of ``conf/logger`` for all runs; None: what their own options say.
    """

    runs: str | None = None
    threads: int | None = None
    device: str = "auto"
    batch_size: int = 16
    launcher: DictConfig | None = None
    logger: str | None = None

    @property
    def workers(self) -> int:
        """How many runs go at a time, as far as is known."""
        return max(1, self.launcher.get("n_jobs", 1)) if self.launcher else 1


def run_study(
    study: Study,
    scale: str,
    settings: Settings,
    only: Iterable[str] | None = None,
    seeds: Iterable[int] | None = None,
    dry: bool = False,
    accept: bool = False,
) -> bool:
    """Runs what is missing; call it where Hydra is initialised with ``conf/``, as inside of a command.

    Args:
        study: the study.
        scale: ``cpu`` or ``paper``.
        settings: how runs are started.
        only: names or patterns of runs; None takes all.
        seeds: in place of the study's.
        dry: only say what would run.
        accept: results of a changed configuration count as done.

    Returns:
        Whether nothing failed.

    Raises:
        UserError: the study cannot be understood, or nothing in it is meant.
    """
    if settings.threads is not None and settings.threads < 1:
        raise UserError(f"threads={settings.threads}: give at least 1, or null")
    jobs = study.jobs(scale, None if seeds is None else tuple(seeds))
    plan = Plan.of(study, scale, jobs, settings.runs)
    chosen = [plan.order(job.name) for job in study.select(jobs, only)]
    if accept:
        plan.accept(chosen)
    if not dry:
        plan.adopt(chosen)
    failed = {order.job.name: order.problem for order in chosen if plan.state(order) == State.REFUSED}
    todo = _todo(plan, chosen)
    _overview(plan, chosen, todo, settings)
    if dry:
        _tell_failures(failed)
        return not failed
    if todo:
        failed |= _launch_all(plan, chosen, todo, settings)
        plan.adopt(chosen)
    _summary(plan, chosen, failed)
    return not failed


def _todo(plan: Plan, chosen: Sequence[Order]) -> list[Order]:
    """What is to be trained or measured: one order of each configuration, with those that it starts from."""
    todo: dict[str, Order] = {}
    for order in chosen:
        if plan.state(order) in (State.DONE, State.REFUSED):
            continue
        before = plan.before(order)
        while before is not None and not (plan.run_dir(before) / CHECKPOINT).exists():
            todo.setdefault(before.config_hash, before)
            before = plan.before(before)
        todo.setdefault(order.config_hash, order)
    return list(todo.values())


def _launch_all(plan: Plan, chosen: Sequence[Order], todo: Sequence[Order], settings: Settings) -> dict[str, str]:
    """Launches wave by wave; gives back why runs failed, by name."""
    from aestyle.studies.running import Task  # imports torch, which a study that is done needs not

    wanted = tuple(dict.fromkeys(order.job.name for order in (*chosen, *todo)))
    names = {plan.run_dir(order).name: order.job.name for order in todo}
    task = Task(plan, names, wanted, settings.workers, settings.threads, settings.device, settings.batch_size)
    failed: dict[str, str] = {}
    for wave in in_waves(plan, todo):
        ready = []
        for order in wave:
            before = plan.before(order)
            if before is not None and before.job.name in failed:
                failed[order.job.name] = f"starts after {before.job.name}, which failed"
            else:
                ready.append(order)
        if ready:
            failed |= _launch(plan, ready, task, settings)
    return failed


def _launch(plan: Plan, orders: Sequence[Order], task: Any, settings: Settings) -> dict[str, str]:
    """Launches orders of one wave.

    A worker process that is killed takes joblib's other ones with it. What is not finished then goes on in new ones,
    but for runs that were hit so often that they are likely to be the cause.
    """
    failed: dict[str, str] = {}
    hits: Counter[str] = Counter()
    pending = list(orders)
    while pending:
        since = time.time()
        try:
            outcomes = _launch_once(plan, pending, task, settings)
        except BrokenExecutor:
            pending = [order for order in pending if plan.state(order) != State.DONE]
            hits.update(o.job.name for o in pending if _started(plan.run_dir(o), since) or len(pending) == 1)
            if not hits:
                raise
            print("a process was killed; going on with what is left", flush=True)
            failed |= {name: f"its process was killed {n} times" for name, n in hits.items() if n >= MOST_HITS}
            pending = [order for order in pending if order.job.name not in failed]
        else:
            told = {order.job.name: outcome for order, outcome in zip(pending, outcomes, strict=True)}
            return failed | {name: outcome for name, outcome in told.items() if outcome is not None}
    return failed


def _started(run_dir: Path, since: float) -> bool:
    lock = run_dir / LOCK
    return lock.exists() and lock.stat().st_mtime >= since


def _launch_once(plan: Plan, orders: Sequence[Order], task: Any, settings: Settings) -> list[str | None]:
    """Does what Hydra's own sweeper does: a master configuration, the launcher, a list of overrides for each job."""
    hydra = GlobalHydra.instance().hydra
    assert hydra is not None
    runs = plan.run_dir(orders[0]).parent.absolute()
    own = [f"hydra.sweep.dir={_quoted(runs)}"]
    master = hydra.config_loader.load_configuration("train", own, run_mode=RunMode.MULTIRUN)
    if settings.launcher is not None:
        with open_dict(master):
            master.hydra.launcher = settings.launcher
    from hydra._internal.callbacks import Callbacks  # as Hydra's own multirun does: there is no public way

    context = HydraContext(config_loader=hydra.config_loader, callbacks=Callbacks(master))
    started = Plugins.instance().instantiate_launcher(hydra_context=context, task_function=task, config=master)
    returned = started.launch([_overrides(plan, order, settings) for order in orders], initial_job_idx=0)
    return [_outcome(job) for job in returned]


def _overrides(plan: Plan, order: Order, settings: Settings) -> list[str]:
    before = plan.before(order)
    own = [f"seed={order.job.seed}", f"run_dir={_quoted(plan.run_dir(order).absolute())}"]
    logger = [f"logger={settings.logger}"] if settings.logger else []
    start = [f"++init_from={_quoted(plan.run_dir(before).absolute())}"] if before else []
    return [*order.job.overrides, *own, *logger, *start]


def _quoted(path: Path) -> str:
    """A path in Hydra's grammar, whatever it is made of."""
    text = str(path).replace("\\", "\\\\") if str(path).endswith("\\") else str(path)
    return "'" + text.replace("'", "\\'") + "'"


def _outcome(job: Any) -> str | None:
    try:
        outcome: str | None = job.return_value
    except Exception as error:  # what went wrong before the task was called, or in the launcher's own machinery
        return one_line(error)
    return outcome


# -- for people ------------------------------------------------------------------------------------------------------


def _overview(plan: Plan, chosen: Sequence[Order], todo: Sequence[Order], settings: Settings) -> None:
    states = {order.job.name: plan.state(order) for order in chosen}
    counts = [(state, list(states.values()).count(state)) for state in State]
    told = ", ".join(f"{count} {state}" for state, count in counts if count)
    print(f"{plan.study.name} at scale={plan.scale}: {len(chosen)} runs, {told}")
    for order in chosen:
        if states[order.job.name] == State.CHANGED:
            differences = plan.differences(order)
            more = f" and {len(differences) - 3} more" if len(differences) > 3 else ""
            print(f"changed {order.job.name}: {'; '.join(differences[:3])}{more}")
    if todo:
        seconds = plan.estimate(todo)
        time = "unknown until a run has finished" if seconds is None else duration(seconds / settings.workers)
        print(f"to run: {len(todo)}, {settings.workers} at a time; time: {time}")
        for order in todo:
            at = " (goes on)" if (plan.run_dir(order) / CHECKPOINT).exists() else ""
            print(f"  {order.job.name}{at}")


def _summary(plan: Plan, chosen: Sequence[Order], failed: dict[str, str]) -> None:
    done = sum(plan.state(order) == State.DONE for order in chosen)
    _tell_failures(failed)
    print(f"{done} of {len(chosen)} runs done, {len(failed)} failed; results are in {plan.results_folder}")


def _tell_failures(failed: dict[str, str]) -> None:
    for reason in dict.fromkeys(failed.values()):
        names = [name for name in failed if failed[name] == reason]
        more = f" and {len(names) - 6} more" if len(names) > 6 else ""
        print(f"failed  {', '.join(names[:6])}{more}: {reason}")
