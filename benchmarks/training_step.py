"""Times a training step beside its bare convolutions, and measures its peak memory.

The convolution calls of one step, forward and backward, are recorded with the shapes and memory layouts of their
tensors, and replayed alone on random numbers. Steps and replays alternate, so that a drift of the machine meets both.
Each case runs in a process of its own, so that its peak memory is its own. Lazy regularisers are left out.

A second table has pairs of methods, whose steps alternate in one process: what the one costs beside the other.

Run as ``python -m benchmarks.training_step``.
"""

import multiprocessing
import resource
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

ROUNDS = 7
CONVOLUTIONS = {torch.ops.aten.convolution.default, torch.ops.aten.convolution_backward.default}
Step = Callable[[], object]


@dataclass(frozen=True)
class Case:
    """One row of the table: a method at a size."""

    method: str
    scale: str
    dataset: str
    batch_size: int
    options: tuple[str, ...] = ()


@dataclass(frozen=True)
class Result:
    """What a case measured: medians in seconds, peak memory in bytes."""

    step: float
    bare: float
    calls: int
    memory: int


CASES = [
    Case(method, *size)
    for size in [("paper", "folder", 4), ("cpu", "orl_faces", 16)]
    for method in ("stylegan2", "joint_ae")
]
WIDE = ("scale.channels={4: 128, 8: 128, 16: 128, 32: 128}", "method/augment=none")
PAIRS = [
    (
        Case("overparam", "cpu", "folder", 8, WIDE),
        Case("stylegan2", "cpu", "folder", 8, (*WIDE, "method/settings=auto")),
    )
]
"""A method and its baseline of the same size."""


def method_of(case: Case) -> Any:
    """A method at random weights, as the configuration builds it at 32 px, without lazy regularisers."""
    from hydra import compose, initialize_config_dir
    from hydra.utils import instantiate

    from aestyle.entry import CONF
    from aestyle.resolvers import register

    register()
    overrides = [f"method={case.method}", f"scale={case.scale}", f"dataset={case.dataset}", "resolution=32"]
    overrides += case.options
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("train", [*overrides, "++scale.beta_kimg=0"])
    cfg.method.update({name: None for name in ("r1", "path_length") if name in cfg.method})
    return instantiate(cfg.method, _convert_="all")


def training_step(case: Case) -> Step:
    """The iterations of a case, driven without a Trainer."""
    return without_trainer(method_of(case), case.batch_size)


def without_trainer(module: Any, batch_size: int) -> Step:
    """The iterations of a method, on random images, driven without a Trainer."""
    optimizers = module.configure_optimizers()
    # in place of what Lightning's Trainer provides
    vars(module).update(optimizers=lambda: optimizers, manual_backward=lambda loss: loss.backward())
    batch = {"image": torch.rand(batch_size, module.channels, module.resolution, module.resolution) * 2 - 1}
    return lambda: module.training_step(batch, 0)


class RecordConvolutions(TorchDispatchMode):
    """Notes every convolution call with stand-ins for its tensors: same shape and strides, random numbers.

    A tensor that comes twice (a weight, an activation and its gradient's partner) gets one stand-in, so that caches
    are as warm in the replay as in the step.
    """

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Callable[..., Any], tuple[Any, ...]]] = []
        self._stand_ins: dict[tuple[int, torch.Size, tuple[int, ...]], Tensor] = {}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func in CONVOLUTIONS:
            assert not kwargs
            self.calls.append((func, tuple(self._stand_in(a) if isinstance(a, Tensor) else a for a in args)))
        return func(*args, **(kwargs or {}))

    def _stand_in(self, x: Tensor) -> Tensor:
        key = (x.data_ptr(), x.shape, x.stride())
        if key not in self._stand_ins:
            extent = 1 + sum((n - 1) * s for n, s in zip(x.shape, x.stride(), strict=True))
            self._stand_ins[key] = torch.randn(extent, dtype=x.dtype).as_strided(x.shape, x.stride())
        return self._stand_ins[key]

    @torch.no_grad()
    def replay(self) -> None:
        """Makes the recorded calls and nothing else."""
        for function, arguments in self.calls:
            function(*arguments)


def seconds(run: Step) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def measure(case: Case) -> Result:
    """Runs a case; needs a fresh process for the memory to mean anything."""
    torch.manual_seed(0)
    step = training_step(case)
    for _ in range(3):
        step()
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    recorder = RecordConvolutions()
    with recorder:
        step()
    recorder.replay()
    times = [(seconds(step), seconds(recorder.replay)) for _ in range(ROUNDS)]
    steps, bare = (statistics.median(column) for column in zip(*times, strict=True))
    return Result(steps, bare, len(recorder.calls), memory)


def compare(case: Case, baseline: Case) -> tuple[float, float]:
    """Median seconds of a step of both, measured alternately."""
    torch.manual_seed(0)
    steps = training_step(case), training_step(baseline)
    times = [[seconds(step) for step in steps] for _ in range(2 * ROUNDS)]
    first, second = (statistics.median(column) for column in zip(*times[3:], strict=True))
    return first, second


def main() -> None:
    print(f"One training step at 32 px, fp32, CPU, {torch.get_num_threads()} threads, torch {torch.__version__}")
    print("method     scale  batch  convolutions  step ms  bare ms  ratio  images/s  peak GB")
    for case in CASES:
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as fresh:
            result = fresh.submit(measure, case).result()
        print(
            f"{case.method:<9}  {case.scale:<5}  {case.batch_size:>5}  {result.calls:>12}"
            f"  {result.step * 1e3:>7.0f}  {result.bare * 1e3:>7.0f}  {result.step / result.bare:>5.2f}"
            f"  {case.batch_size / result.step:>8.1f}  {result.memory / 1e9:>7.2f}",
            flush=True,
        )
    print("\nmethod     baseline   batch  step ms  baseline ms  ratio")
    for case, baseline in PAIRS:
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as fresh:
            first, second = fresh.submit(compare, case, baseline).result()
        print(
            f"{case.method:<9}  {baseline.method:<9}  {case.batch_size:>5}  {first * 1e3:>7.0f}  {second * 1e3:>11.0f}"
            f"  {first / second:>5.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
