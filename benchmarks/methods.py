"""Times every method with its paper's networks at 16, 32 and 64 px beside the bare convolutions of its phases.

Most of these networks are 512 channels wide; a method that grows has grown. The ordinary phases of an iteration are
timed together, each lazy regulariser (R1, path length) alone. Every convolution of them, forward, backward and of
second derivatives, is recorded with the shapes and layouts of its tensors, and replayed on random numbers; and so is
every matrix product. ``ratio`` is that of the step to its convolutions (of methods without any, to its products),
``with them`` that to both. Each case runs in a process of its own, so that its peak memory is its own (PyTorch itself
takes about 0.4 GB of it).

Ordinary phases are to take at most 1.25 times as long as their bare convolutions, regularisers 1.5 times. Steps and
replays alternate, so that a drift of the machine meets them all: five rounds at least, then as many as it takes until a
row lies two standard errors away from its bound, on either side, or four minutes are over. Ratios are those of the
median round, times are medians as well.

Run as ``python -m benchmarks.methods``.
"""

from aestyle.entry import CONF
from benchmarks.growing import exponent
from benchmarks.steps import Case, Measured, print_bounds, print_steps

NAMES = sorted(path.stem for path in (CONF / "method").glob("*.yaml"))
PERCEPTRONS = [name for name in NAMES if "aae" in name]
BATCHES = {16: 8, 32: 4, 64: 2}
"""As many images as this machine steps through in some seconds; 512 channels wide."""

TIMES = {"age": 32, "ali": 16, "vaegan": 2}
"""Narrower networks take so many times as many; perceptrons have the batch of their configuration."""


def batch_of(name: str, size: int) -> int:
    """Images a step."""
    return 0 if name in PERCEPTRONS else BATCHES[size] * TIMES.get(name, 1)


def main() -> None:
    measured = print_steps(
        Case(name, "paper", "orl_faces", batch_of(name, size), resolution=size) for name in NAMES for size in BATCHES
    )
    print_bounds(measured)
    print_growth(measured)


def print_growth(measured: list[tuple[Case, Measured]]) -> None:
    """To which power of the side of the picture the time of an image grows; 2 is linear in pixels."""
    print("\ntime of an image over the side of the picture, ordinary phases: to the power")
    by_method: dict[str, list[tuple[float, float]]] = {}
    for case, found in measured:
        by_method.setdefault(case.method, []).append((case.resolution, found.results[0].medians[0] / found.batch_size))
    print(", ".join(f"{name} {exponent(points):.1f}" for name, points in by_method.items()))


if __name__ == "__main__":
    main()
