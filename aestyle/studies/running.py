"""One run of a study from start to result file."""

import json
import os
import platform
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig

import aestyle
from aestyle.engine.callbacks.stats import FILE as STATS
from aestyle.engine.module import PhasedModule
from aestyle.resolvers import register
from aestyle.studies.evaluation import RESULTS, Record, append_records, evaluate, find_device
from aestyle.studies.loading import load_data, load_run
from aestyle.studies.locking import alone
from aestyle.studies.planning import Order, Plan, State, duration, one_line
from aestyle.studies.report import read_lines
from aestyle.studies.results import Result, write_result
from aestyle.studies.training import train

register()  # a launcher's worker process composes configurations once it has imported this module

LOG = "study.log"


@dataclass(frozen=True)
class Task:
    """What Hydra's launchers call for each job, here or in another process.

    Args:
        plan: the study.
        names: the job of each run folder that may be asked for.
        wanted: names of all jobs that this call of the study is to finish, for the count.
        workers: how many jobs run at a time, for the remaining time.
        threads: CPU threads of a job; None leaves them.
        device: for evaluation.
        batch_size: for evaluation.
    """

    plan: Plan
    names: dict[str, str]
    wanted: tuple[str, ...]
    workers: int = 1
    threads: int | None = None
    device: str = "auto"
    batch_size: int = 16

    def __call__(self, cfg: DictConfig) -> str | None:
        """Trains, measures and writes the result file.

        What the training prints goes to ``study.log`` in the run folder.

        Args:
            cfg: composed from ``conf/train.yaml``; its run folder tells which job it is.

        Returns:
            None, or why it failed, in a line.
        """
        run_dir = Path(cfg.run_dir)
        order = self.plan.order(self.names[run_dir.name])
        if self.threads:
            torch.set_num_threads(self.threads)
        os.environ["WANDB_RUN_GROUP"] = (
            f"{self.plan.study.name}/{order.job.run}"  # unless logger.wandb.group says another
        )
        _say(f"start   {order.job.name} (log: {run_dir / LOG})")
        start = time.perf_counter()
        try:
            with alone(run_dir), _logged(run_dir / LOG):
                train(cfg, run_dir)
                self._finish(order, run_dir)
        except Exception as error:
            _say(f"failed  {order.job.name}: {one_line(error)}")
            return one_line(error)
        _say(f"done    {order.job.name} in {duration(time.perf_counter() - start)}; {self._progress()}")
        return None

    def _finish(self, order: Order, run_dir: Path) -> None:
        if self.plan.state(order) == State.DONE:
            return  # trained anew on this machine, for another run to start from
        old = self.plan.result(order) if self.plan.state(order) == State.UNMEASURED else None
        write_result(self.plan.study, order.job, finished(self.plan, order, run_dir, self.device, self.batch_size, old))

    def _progress(self) -> str:
        left = [o for o in map(self.plan.order, self.wanted) if self.plan.state(o) != State.DONE]
        seconds = self.plan.estimate({o.config_hash: o for o in left if not o.problem}.values())
        remaining = f", about {duration(seconds / self.workers)} left" if left and seconds else ""
        return f"{len(self.wanted) - len(left)} of {len(self.wanted)} done{remaining}"


def finished(
    plan: Plan, order: Order, run_dir: Path, device: str = "auto", batch_size: int = 16, old: Result | None = None
) -> Result:
    """Measures a trained run and says all that is to be remembered of it.

    Args:
        plan: the study.
        order: the job.
        run_dir: its run folder.
        device: for evaluation.
        batch_size: for evaluation.
        old: an earlier result of the same run, whose metrics are kept.

    Returns:
        The content of a result file, without any path but the run folder's name.
    """
    where = find_device(device)
    model, cfg, info = load_run(run_dir)
    known = old or {"metrics": {}, "records": [], "not_measured": {}, "evaluate_seconds": 0.0}
    recipes = {name: recipe for name, recipe in order.recipes.items() if name not in known["metrics"]}
    start = time.perf_counter()
    cache = run_dir.parent / ".features"
    data = load_data(cfg, info)
    records, not_measured = measure(model.to(where), data, recipes, batch_size, cache)
    seconds = time.perf_counter() - start
    append_records([{**r, "kimg": info.kimg, "checkpoint": str(info.checkpoint)} for r in records], run_dir)
    train_seconds = sum(line.get("seconds", 0.0) for line in read_lines(run_dir / STATS))
    return {
        "study": plan.study.name,
        "run": order.job.run,
        "scale": order.job.scale,
        "seed": order.job.seed,
        "config_hash": order.config_hash,
        "overrides": list(order.job.overrides),
        "kimg": info.kimg,
        "metrics": {**known["metrics"], **{r["metric"]: _finite(r["value"]) for r in records}},
        "records": [*known["records"], *({**r, "kimg": info.kimg, "value": _finite(r["value"])} for r in records)],
        "data": data.record(),
        "not_measured": {**known["not_measured"], **not_measured},
        "train_seconds": round(train_seconds, 1),
        "evaluate_seconds": round(known["evaluate_seconds"] + seconds, 1),
        **curves(run_dir),
        "images_per_second": round(info.kimg * 1000 / train_seconds, 2) if train_seconds else None,
        "parameters": {name: sum(p.numel() for p in net.parameters()) for name, net in model.networks.items()},
        "machine": machine(),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "version": aestyle.__version__,
        "folder": run_dir.name,
        "config": json.loads(json.dumps({**order.config, "kimg": order.kimg}, default=str)),
    }


def curves(run_dir: Path) -> dict[str, dict[str, list[tuple[float, float | None]]]]:
    """What was measured along the training, if anything was: ``{"curves": {metric: [(kimg, value), ...]}}``."""
    found: dict[str, list[tuple[float, float | None]]] = {}
    for line in read_lines(run_dir / RESULTS):
        if line.get("checkpoint") is None:
            found.setdefault(line["metric"], []).append((line["kimg"], line["value"]))
    return {"curves": found} if found else {}


def measure(
    model: PhasedModule, data: Any, recipes: dict[str, dict[str, Any]], batch_size: int, cache: Path
) -> tuple[list[Record], dict[str, str]]:
    """Runs each recipe.

    Args:
        model: on its device.
        data: its data module.
        recipes: definitions by name.
        batch_size: pictures per forward pass; changes no result.
        cache: folder for features of real pictures.

    Returns:
        The records without what is the same in all of them; and why metrics were not measured that have no meaning
        for the model.
    """
    built = [instantiate(recipe, _convert_="all") for recipe in recipes.values()]
    not_measured: dict[str, str] = {}
    records = evaluate(
        model, data, built, device=model.device, batch_size=batch_size, cache=cache, not_measured=not_measured
    )
    origin = ("checkpoint", "kimg", "data")
    return [{key: value for key, value in r.items() if key not in origin} for r in records], not_measured


def _finite(value: float) -> float | None:
    return value if torch.isfinite(torch.tensor(value)) else None


def machine() -> dict[str, Any]:
    """What a run was trained on: processor, cores, threads, GPU, version of torch."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "cpu": models[0] if models else platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "torch": torch.__version__,
    }


def _say(text: str) -> None:
    print(text, flush=True)


@contextmanager
def _logged(path: Path) -> Iterator[None]:
    """What is printed inside goes to a file, and the traceback of an error as well."""
    with path.open("a", encoding="utf-8", buffering=1) as file, redirect_stdout(file), redirect_stderr(file):
        try:
            yield
        except BaseException:
            traceback.print_exc()
            raise
