"""Times every method with the networks of ``scale=cpu`` at 32 px, as :mod:`benchmarks.methods` times the papers'.

These networks are 32 to 128 channels wide: what surrounds a convolution weighs more beside it, and the bounds for the
papers' networks are not met. A second table has a method and its baseline, whose steps alternate in one process: what
the one costs beside the other.

Run as ``python -m benchmarks.narrow``.
"""

import statistics

import torch

from benchmarks.methods import NAMES, PERCEPTRONS
from benchmarks.steps import Case, fresh, method_of, print_bounds, print_steps, seconds, without_trainer

ROUNDS = 14
BATCHES = {"vaegan": 64}
"""Where the configuration's is too large for a benchmark."""

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
    names = [name for name in NAMES if name not in PERCEPTRONS]  # their networks are the papers'
    print_bounds(print_steps(Case(name, "cpu", "orl_faces", BATCHES.get(name, 0)) for name in names))
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
