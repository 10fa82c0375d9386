"""Two gloo processes of one thread each beside one process of two threads: the same global batch, step by step.

``efficiency`` is the time of the one process by that of the two. Beside it: what a step sends, how long it waits for
it, and whether averaging gradients in smaller buckets, while the backward pass goes on, shortens the step. Steps of
all ways alternate in blocks, so that a drift of the machine meets each of them. A step is an ordinary one late in a
training; lazy regularisers are left out.

Run as ``python -m benchmarks.ranks``.
"""

import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, multiprocessing

from aestyle.engine import module
from aestyle.engine.distributed import OverlappedAverage
from benchmarks.steps import Case, method_of, seconds, without_trainer

CASES = [
    Case("joint_ae", "cpu", "orl_faces", 16),
    Case("joint_ae", "paper", "folder", 4),
    Case("pioneer", "cpu", "emoji", 16),
    Case("aae", "cpu", "fashion_mnist", 1024),
]
BUCKETS = {"one bucket": 2**40, "25 MB": 25 * 2**20, "1 MB": 2**20}
BLOCKS = {"cpu": 6, "paper": 2}
STEPS = 4


@dataclass
class Sent:
    """What passes through ``all_reduce``: bytes, and seconds spent in it or waiting for it."""

    bytes: int = 0
    seconds: float = 0.0
    original: Callable[..., Any] = field(default=dist.all_reduce)

    def __call__(self, tensor: Tensor, *args: Any, async_op: bool = False, **kwargs: Any) -> Any:
        """``all_reduce``, observed."""
        self.bytes += tensor.nbytes
        start = time.perf_counter()
        work = self.original(tensor, *args, async_op=async_op, **kwargs)
        self.seconds += time.perf_counter() - start
        return Waited(work, self) if async_op else work


@dataclass
class Waited:
    """A collective under way."""

    work: Any
    sent: Sent

    def wait(self) -> None:
        """Waits, and says how long."""
        start = time.perf_counter()
        self.work.wait()
        self.sent.seconds += time.perf_counter() - start


def rank_of(rank: int, world: int, case: Case, folder: Path, turns: Any) -> None:
    """One process: the only one of ``world`` 1, or one of two; leaves its medians in ``folder``.

    Args:
        rank: of it.
        world: how many there are.
        case: what it trains.
        folder: for results and the meeting point.
        turns: whose block it is: 1 for the one process, 2 for the two.
    """
    torch.set_num_threads(2 // world)
    torch.manual_seed(0)
    sent = Sent()
    if world > 1:
        dist.init_process_group("gloo", init_method=f"file://{folder / 'meeting'}", rank=rank, world_size=world)
        dist.all_reduce = sent
    method = method_of(case)
    step = without_trainer(method, case.batch_size // world)
    ways = BUCKETS if world > 1 else {"": 0}
    times: dict[str, list[float]] = {way: [] for way in ways}
    told: dict[str, tuple[float, float]] = {}
    for block in range(BLOCKS[case.scale] + 1):
        turns[world - 1].acquire()
        for way, size in ways.items():
            module.OverlappedAverage = partial(OverlappedAverage, bucket_bytes=size)  # type: ignore[misc,assignment]
            sent.bytes, sent.seconds = 0, 0.0
            taken = [seconds(step) for _ in range(STEPS)]
            times[way] += taken[1:] if block else []  # the first block is for caches
            told[way] = (sent.bytes / STEPS, sent.seconds / STEPS)
        if world > 1:
            dist.barrier()
        if rank == 0:
            for _ in range(3 - world):
                turns[2 - world].release()
    if rank == 0:
        torch.save({way: (statistics.median(times[way]), *told[way]) for way in ways}, folder / f"{world}.pt")


def measure(case: Case) -> tuple[float, dict[str, tuple[float, float, float]]]:
    """Median seconds of a step of one process; of two, by way: seconds, bytes sent, seconds spent in sending."""
    context = multiprocessing.get_context("spawn")
    turns = [context.Semaphore(1), context.Semaphore(0)]
    with tempfile.TemporaryDirectory() as name:
        processes = [
            context.Process(target=rank_of, args=(rank, world, case, Path(name), turns))
            for world in (1, 2)
            for rank in range(world)
        ]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
        one, two = (torch.load(Path(name) / f"{world}.pt") for world in (1, 2))
    return one[""][0], two


def main() -> None:
    print(f"One training step at 32 px, fp32, CPU, gloo, torch {torch.__version__}")
    print("method    scale  batch  1 x 2 threads  buckets     2 x 1 thread  efficiency  MB sent  ms sending")
    for case in CASES:
        alone, pair = measure(case)
        for way, (step, sent, sending) in pair.items():
            print(
                f"{case.method:<8}  {case.scale:<5}  {case.batch_size:>5}  {alone * 1e3:>10.0f} ms  {way:<10}"
                f"  {step * 1e3:>9.0f} ms  {alone / step:>10.2f}  {sent / 1e6:>7.2f}  {sending * 1e3:>10.1f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
