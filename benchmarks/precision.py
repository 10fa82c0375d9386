"""Measures what threads, layout, narrower numbers and compiled passes gain in training steps on the CPU.

Each row is a process of its own, so that its threads and what it compiled are its own. A step is an ordinary one: lazy
regularisers, which are computed in float32 and are not compiled, are left out. Compiling happens before the clock runs.
``gain`` is over 32-true with as many threads. Without a C++ compiler there are no compiled rows.

Defaults go by this table: all cores, channels_last, nothing compiled. bf16-mixed gains on this
machine and is left to the user all the same: every recorded figure is in 32 bits, and ``experiments/precision`` has
seen trainings of 2 kimg only.

Run as ``python -m benchmarks.precision``.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from unittest.mock import patch

import torch

from aestyle.metrics.efflite0 import efflite0
from benchmarks.steps import Case, fresh, medians, method_of, without_trainer

CASES = [Case("joint_ae", "cpu", "orl_faces", 16), Case("joint_ae", "paper", "folder", 4)]


@dataclass(frozen=True)
class Mode:
    """How a step is computed."""

    threads: int
    bf16: bool = False
    compile: bool = False
    channels_last: bool = True

    @property
    def name(self) -> str:
        """For the table."""
        layout = "" if self.channels_last else ", channels first"
        return ("bf16-mixed" if self.bf16 else "32-true") + layout + (", compiled" if self.compile else "")


@contextmanager
def channels_first() -> Iterator[None]:
    """Inside, nothing is put into channels_last order."""
    plain = torch.Tensor.contiguous
    with patch.object(torch.Tensor, "contiguous", lambda x, memory_format=None: plain(x)):
        efflite0(torch.device("cpu")).to(memory_format=torch.contiguous_format)
        yield


def measure(case: Case, mode: Mode) -> float:
    """Median seconds of a step; needs a fresh process."""
    from aestyle.engine.passes import Passes

    torch.set_num_threads(mode.threads)
    torch.manual_seed(0)
    narrow = torch.autocast("cpu", torch.bfloat16) if mode.bf16 else nullcontext()
    with narrow, nullcontext() if mode.channels_last else channels_first():
        method = method_of(case)
        method.passes = Passes(compile=mode.compile)
        step = without_trainer(method, case.batch_size)
        step()
        step()
        return medians(step)[0]


def main() -> None:
    most = os.cpu_count() or 1
    modes = [Mode(threads) for threads in sorted({1, most})]
    modes += [Mode(most, channels_last=False), Mode(most, bf16=True)]
    if shutil.which("g++") or shutil.which("clang++"):
        modes += [Mode(most, compile=True), Mode(most, bf16=True, compile=True)]
    print(f"One training step at 32 px, CPU, {torch.backends.cpu.get_cpu_capability()}, torch {torch.__version__}")
    print("method     scale  batch  precision                threads  step ms  gain")
    for case in CASES:
        plain: dict[int, float] = {}
        for mode in modes:
            step = fresh(measure, case, mode)
            beside = plain.setdefault(mode.threads, step)
            print(
                f"{case.method:<9}  {case.scale:<5}  {case.batch_size:>5}  {mode.name:<23}  {mode.threads:>7}"
                f"  {step * 1e3:>7.0f}  {beside / step:>4.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
