"""Times steps of the networks of the papers, most of them 512 channels wide, at 32 px beside their bare convolutions.

What is said of :mod:`benchmarks.methods` holds here too, but for the scale. Ordinary phases are to take at most 1.25
times as long as their bare convolutions, regularisers 1.5 times.
A second table has pairs of methods, whose steps alternate in one process: what the one costs beside the other.

Run as ``python -m benchmarks.training_step``.
"""

import statistics

import torch

from benchmarks.steps import Case, fresh, method_of, print_bounds, print_steps, seconds, without_trainer

ROUNDS = 14
METHODS = ("stylegan2", "joint_ae", "overparam", "pioneer", "progan_l1")
CASES = [Case(method, "paper", "folder", 4) for method in METHODS]
WIDE = ("scale.channels={4: 128, 8: 128, 16: 128, 32: 128}", "method/augment=none")
PAIRS = [
    (
        Case("overparam", "cpu", "folder", 8, WIDE),
        Case("stylegan2", "cpu", "folder", 8, (*WIDE, "method/settings=auto")),
    )
]
"""A method and its baseline of the same size."""


def compare(case: Case, baseline: Case) -> tuple[float, float]:
    """Median seconds of an ordinary step of both, measured alternately."""
    torch.manual_seed(0)
    steps = [without_trainer(method_of(c), c.batch_size) for c in (case, baseline)]
    times = [[seconds(step) for step in steps] for _ in range(ROUNDS)]
    first, second = (statistics.median(column) for column in zip(*times[3:], strict=True))
    return first, second


def main() -> None:
    print_bounds(print_steps(CASES))
    print("\nmethod     baseline   batch  step ms  baseline ms  ratio")
    for case, baseline in PAIRS:
        first, second = fresh(compare, case, baseline)
        print(
            f"{case.method:<9}  {baseline.method:<9}  {case.batch_size:>5}  {first * 1e3:>7.0f}  {second * 1e3:>11.0f}"
            f"  {first / second:>5.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
