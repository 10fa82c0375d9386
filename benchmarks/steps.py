"""What benchmarks of training steps share: cases, steps without a Trainer, and the replay of their convolutions."""

import math
import multiprocessing
import resource
import statistics
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import torch
from omegaconf import DictConfig
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from aestyle.engine.phases import Phase

ROUNDS = 5
PATIENCE = 240.0
"""Seconds after which a row is left undecided."""

LONG = 5.0
"""Seconds of a step that warms up once instead of twice."""

MOST = {"ordinary": 1.25, "regularised": 1.5}
"""How much longer phases may take than their bare convolutions."""

LATE = 10**9
"""Images seen: what grows has grown, and what begins late has begun."""

aten = torch.ops.aten
CONVOLUTIONS = {aten.convolution.default, aten.convolution_backward.default}
PRODUCTS = {aten.mm.default, aten.addmm.default, aten.bmm.default, aten.baddbmm.default}
Step = Callable[[], object]


@dataclass(frozen=True)
class Case:
    """A method at a size.

    Args:
        method: its name.
        scale: of its networks.
        dataset: whose channels its pictures have.
        batch_size: images a step; 0: what the configuration says.
        options: more of the configuration.
        resolution: height and width in pixels.
    """

    method: str
    scale: str
    dataset: str
    batch_size: int
    options: tuple[str, ...] = ()
    resolution: int = 32


@dataclass(frozen=True)
class Result:
    """What some phases of a case measured.

    Args:
        phases: their name.
        calls: how many convolutions there are.
        rounds: seconds of the step, of its convolutions and of its matrix products, one after the other.
    """

    phases: str
    calls: int
    rounds: list[list[float]]

    @property
    def medians(self) -> list[float]:
        """Of the step, its convolutions and its products, in seconds."""
        return [statistics.median(column) for column in zip(*self.rounds, strict=True)]

    @property
    def ratio(self) -> float:
        """Of the step to its bare convolutions, or without any to its products, in the median round."""
        return statistics.median(step / (bare if self.calls else products) for step, bare, products in self.rounds)

    @property
    def ratio_to_both(self) -> float:
        """Of the step to its convolutions and matrix products, in the median round."""
        return statistics.median(self._ratios())

    @property
    def is_decided(self) -> bool:
        """Whether it is clear, by two standard errors of the median, on which side of its bound the row lies."""
        if len(self.rounds) < ROUNDS:
            return False
        if not self.calls:  # there is no bound
            return True
        error = 1.25 * statistics.stdev(self._ratios()) / math.sqrt(len(self.rounds))
        return abs(self.ratio_to_both - MOST[self.kind]) > 2 * error

    @property
    def kind(self) -> str:
        """``ordinary`` or ``regularised``."""
        return "ordinary" if self.phases == "ordinary" else "regularised"

    def _ratios(self) -> list[float]:
        return [step / (bare + products) for step, bare, products in self.rounds]


@dataclass(frozen=True)
class Measured:
    """What a case measured: its batch size, the peak of its process's memory in bytes, and its phases."""

    batch_size: int
    memory: int
    results: list[Result]


def composed(case: Case) -> DictConfig:
    """The configuration of a case."""
    from hydra import compose, initialize_config_dir

    from aestyle.entry import CONF
    from aestyle.resolvers import register

    register()
    overrides = [f"method={case.method}", f"scale={case.scale}", f"dataset={case.dataset}"]
    overrides += [f"resolution={case.resolution}", *case.options, "++scale.beta_kimg=0"]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("train", overrides)


def built(case: Case) -> tuple[Any, int]:
    """A method at random weights, late in a training, as the configuration builds it; and its batch size."""
    from hydra.utils import instantiate

    cfg = composed(case)
    method = instantiate(cfg.method, _convert_="all")
    method.images_seen = LATE
    return method, case.batch_size or list(method.batch_sizes(cfg.batch_size).values())[-1]


def method_of(case: Case) -> Any:
    """A method at random weights that does its ordinary phases and no lazy regularisers."""
    method, _ = built(case)
    ordinary = kinds(method)["ordinary"]
    method.phases = lambda: ordinary
    return method


def kinds(method: Any) -> dict[str, list[Phase]]:
    """The ordinary phases together, then each lazy regulariser, in every iteration."""
    phases = method.phases()
    lazy = {phase.name: [replace(phase, every=1)] for phase in phases if phase.every > 1}
    return {"ordinary": [phase for phase in phases if phase.every == 1], **lazy}


def without_trainer(module: Any, batch_size: int, phases: Sequence[Phase] | None = None) -> Step:
    """The iterations of a method, or some phases of them, on random images, driven without a Trainer."""
    optimizers = module.configure_optimizers()
    # in place of what Lightning's Trainer provides
    vars(module).update(optimizers=lambda: optimizers, manual_backward=lambda loss: loss.backward())
    count = batch_size * module.batches_per_iteration
    batch = {"image": torch.rand(count, module.channels, module.resolution, module.resolution) * 2 - 1}

    def step() -> None:
        if phases is not None:
            module.phases = lambda: phases
        module.training_step(batch, 0)

    return step


class Recorded(TorchDispatchMode):
    """Notes convolutions and matrix products with stand-ins for their tensors: same shape and strides, random numbers.

    A tensor that comes twice (a weight, an activation and its gradient's partner) gets one stand-in, so that caches
    are as warm in the replay as in the step.
    """

    def __init__(self) -> None:
        super().__init__()
        self._calls: list[tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]] = []
        self._stand_ins: dict[tuple[int, torch.Size, tuple[int, ...]], Tensor] = {}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func in CONVOLUTIONS | PRODUCTS:
            self._calls.append(
                (func, tuple(self._stand_in(a) if isinstance(a, Tensor) else a for a in args), kwargs or {})
            )
        return func(*args, **(kwargs or {}))

    def _stand_in(self, x: Tensor) -> Tensor:
        key = (x.data_ptr(), x.shape, x.stride())
        if key not in self._stand_ins:
            extent = 1 + sum((n - 1) * s for n, s in zip(x.shape, x.stride(), strict=True))
            self._stand_ins[key] = torch.randn(extent, dtype=x.dtype).as_strided(x.shape, x.stride())
        return self._stand_ins[key]

    def replay(self, functions: Collection[Any]) -> tuple[int, Step]:
        """How many of the recorded calls are of these functions, and what makes them and nothing else."""
        calls = [call for call in self._calls if call[0] in functions]

        @torch.no_grad()
        def run() -> None:
            for function, arguments, options in calls:
                function(*arguments, **options)

        return len(calls), run


def seconds(run: Step) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def medians(*runs: Step) -> list[float]:
    """Median wall time of each, taken in turns, so that a drift of the machine meets all."""
    times = [[seconds(run) for run in runs] for _ in range(ROUNDS)]
    return [statistics.median(column) for column in zip(*times, strict=True)]


def fresh(function: Callable[..., Any], *args: Any) -> Any:
    """Calls a function in a process of its own, whose memory, threads and caches are its own."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        return process.submit(function, *args).result()


def measure(case: Case) -> Measured:
    """Everything about a case; needs a fresh process for the memory."""
    torch.manual_seed(0)
    method, batch_size = built(case)
    steps = {name: without_trainer(method, batch_size, phases) for name, phases in kinds(method).items()}
    for step in steps.values():
        if seconds(step) < LONG:
            step()
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return Measured(batch_size, memory, [_beside_bare(name, step) for name, step in steps.items()])


def _beside_bare(phases: str, step: Step) -> Result:
    recorded = Recorded()
    with recorded:
        step()
    calls, convolutions = recorded.replay(CONVOLUTIONS)
    _, products = recorded.replay(PRODUCTS)
    convolutions()
    products()
    start, result = time.perf_counter(), Result(phases, calls, [])
    while not (result.is_decided or time.perf_counter() - start > PATIENCE):
        result.rounds.append([seconds(run) for run in (step, convolutions, products)])
    return result


def print_steps(cases: Iterable[Case]) -> list[tuple[Case, Measured]]:
    """Measures cases one after the other and prints a row for each kind of phases."""
    print(
        "method                px  batch  phases    calls  step ms  bare ms  ratio  products ms  with them  rounds"
        "  images/s  peak GB"
    )
    found = []
    for case in cases:
        measured = fresh(measure, case)
        found.append((case, measured))
        for r in measured.results:
            step, bare, products = r.medians
            whole = f"  {measured.batch_size / step:>8.1f}  {measured.memory / 1e9:>7.2f}"
            print(
                f"{case.method:<20}  {case.resolution:>2}  {measured.batch_size:>5}  {r.phases:<8}  {r.calls:>5}"
                f"  {step * 1e3:>7.0f}  {bare * 1e3:>7.0f}  {r.ratio:>5.2f}  {products * 1e3:>11.0f}"
                f"  {r.ratio_to_both:>9.2f}  {len(r.rounds):>6}{whole if r is measured.results[0] else ''}",
                flush=True,
            )
    return found


def print_bounds(measured: list[tuple[Case, Measured]]) -> None:
    """How many rows are as near to their bare convolutions as is asked for, and which are not."""
    for kind, most in MOST.items():
        rows = {
            f"{case.method} {r.phases} {case.resolution} px": r
            for case, found in measured
            for r in found.results
            if r.kind == kind and r.calls
        }
        for what, ratio_of in (("bare convolutions", "ratio"), ("convolutions and matrix products", "ratio_to_both")):
            ratios = {name: getattr(row, ratio_of) for name, row in rows.items()}
            above = [f"{name} {ratio:.2f}" for name, ratio in ratios.items() if ratio > most]
            print(
                f"{kind}: {len(ratios) - len(above)} of {len(ratios)} rows within {most} of their {what}, geometric "
                f"mean {statistics.geometric_mean(ratios.values()):.2f}{'; above: ' if above else ''}{', '.join(above)}"
            )
