"""Times training steps with freed memory kept by the process beside glibc's own ways.

Every command of aestyle on the CPU keeps it (``aestyle.processes.keep_freed_memory``). Each measurement is a process of
its own. A page fault is a page of 4 KB that the system clears and hands over.

Run as ``python -m benchmarks.freed_memory``.
"""

import os
import resource
from unittest.mock import patch

import torch

from benchmarks.steps import Case, fresh, medians, method_of, without_trainer

CASES = [
    Case("joint_ae", "cpu", "orl_faces", 8),
    Case("pioneer", "cpu", "orl_faces", 16),
    Case("aae", "cpu", "fashion_mnist", 1024),
    Case("vaegan", "cpu", "fashion_mnist", 64),
    Case("vaegan", "cpu", "fashion_mnist", 256),
]
AS_IT_WAS = {"MALLOC_PERTURB_": "0"}
"""Any such name in the environment leaves glibc alone; this one changes nothing else."""


def measure(case: Case) -> tuple[float, float, float]:
    """Median seconds of an ordinary step, page faults of one, and the process's peak memory in bytes."""
    torch.manual_seed(0)
    step = without_trainer(method_of(case), case.batch_size)
    step()
    step()
    before, steps = resource.getrusage(resource.RUSAGE_SELF).ru_minflt, 0

    def counted() -> None:
        nonlocal steps
        step()
        steps += 1

    (time,) = medians(counted)
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return time, (usage.ru_minflt - before) / steps, usage.ru_maxrss * 1024


def main() -> None:
    print("method    batch  freed memory  step ms  page faults a step  peak GB  gain")
    for case in CASES:
        with patch.dict(os.environ, AS_IT_WAS):
            plain = fresh(measure, case)
        kept = fresh(measure, case)
        for way, (time, faults, peak) in (("given back", plain), ("kept", kept)):
            print(
                f"{case.method:<8}  {case.batch_size:>5}  {way:<12}  {time * 1e3:>7.0f}  {faults:>18,.0f}"
                f"  {peak / 1e9:>7.2f}  {plain[0] / time:>4.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
