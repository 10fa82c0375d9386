"""Measures what narrower numbers, compiled passes and threads gain in training steps on the CPU.

Each row is a process of its own, so that its threads and what it compiled are its own. A step is an ordinary one: lazy
regularisers, which are computed in float32 and are not compiled, are left out. Compiling happens before the clock runs.

Run as ``python -m benchmarks.precision``; ``python -m benchmarks.precision compile`` adds the compiled passes, which
take minutes to compile.
"""

import os
import statistics
import sys
from contextlib import nullcontext
from dataclasses import dataclass

import torch

from benchmarks.steps import Case, fresh, method_of, seconds, without_trainer

ROUNDS = 7
CASES = [Case("joint_ae", "cpu", "orl_faces", 16), Case("joint_ae", "paper", "folder", 4)]


@dataclass(frozen=True)
class Mode:
    """How a step is computed."""

    bf16: bool
    compile: bool
    threads: int

    @property
    def name(self) -> str:
        """For the table."""
        return ("bf16-mixed" if self.bf16 else "32-true") + (" compiled" if self.compile else "")


def measure(case: Case, mode: Mode) -> float:
    """Median seconds of a step; needs a fresh process."""
    from aestyle.engine.passes import Passes

    torch.set_num_threads(mode.threads)
    torch.manual_seed(0)
    method = method_of(case)
    method.passes = Passes(compile=mode.compile)
    step = without_trainer(method, case.batch_size)
    with torch.autocast("cpu", torch.bfloat16) if mode.bf16 else nullcontext():
        for _ in range(3):
            step()
        return statistics.median(seconds(step) for _ in range(ROUNDS))


def main() -> None:
    compiled = (False, True) if "compile" in sys.argv[1:] else (False,)
    threads = sorted({1, os.cpu_count() or 1})
    modes = [Mode(bf16, compile, n) for compile in compiled for bf16 in (False, True) for n in threads]
    print(f"One training step at 32 px, CPU, {torch.backends.cpu.get_cpu_capability()}, torch {torch.__version__}")
    print("method     scale  batch  precision            threads  step ms  gain")
    for case in CASES:
        first = None
        for mode in modes:
            step = fresh(measure, case, mode)
            first = first or step
            print(
                f"{case.method:<9}  {case.scale:<5}  {case.batch_size:>5}  {mode.name:<19}  {mode.threads:>7}"
                f"  {step * 1e3:>7.0f}  {first / step:>4.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
