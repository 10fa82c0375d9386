"""Measures what threads, layout, narrower numbers and compiled passes gain in training steps on the CPU.

Each row is a process of its own, so that its threads and what it compiled are its own. A step is an ordinary one: lazy
regularisers, which are computed in float32 and are not compiled, are left out. Compiling happens before the clock runs.

Run as ``python -m benchmarks.precision``; ``python -m benchmarks.precision compile`` adds the compiled passes, which
take minutes to compile.
"""

import os
import sys
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from unittest.mock import patch

import torch

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


def channels_first() -> AbstractContextManager[object]:
    """Inside, nothing is put into channels_last order."""
    plain = torch.Tensor.contiguous
    return patch.object(torch.Tensor, "contiguous", lambda x, memory_format=None: plain(x))


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
    if "compile" in sys.argv[1:]:
        modes += [Mode(most, compile=True), Mode(most, bf16=True, compile=True)]
    print(f"One training step at 32 px, CPU, {torch.backends.cpu.get_cpu_capability()}, torch {torch.__version__}")
    print("method     scale  batch  precision                threads  step ms  gain")
    for case in CASES:
        first = None
        for mode in modes:
            step = fresh(measure, case, mode)
            first = first or step
            print(
                f"{case.method:<9}  {case.scale:<5}  {case.batch_size:>5}  {mode.name:<23}  {mode.threads:>7}"
                f"  {step * 1e3:>7.0f}  {first / step:>4.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
