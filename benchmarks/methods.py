"""Times every method at 16, 32 and 64 px beside the bare convolutions of the same phases, and measures its memory.

The networks, the batch and the channels are those of ``scale=cpu`` on the faces; a method that grows has grown. The
ordinary phases of an iteration are timed together, each lazy regulariser (R1, path length) alone. Every convolution of
them, forward, backward and of second derivatives, is recorded with the shapes and layouts of its tensors, and replayed
on random numbers; of methods without convolutions, every matrix product. Steps and replays alternate, so that a drift
of the machine meets both. Each case runs in a process of its own, so that its peak memory is its own (PyTorch itself
takes about 0.4 GB of it).

Run as ``python -m benchmarks.methods``.
"""

from aestyle.entry import CONF
from benchmarks.growing import exponent
from benchmarks.steps import Case, Measured, print_steps

SIZES = (16, 32, 64)
BATCHES = {"vaegan": 64}
"""Where the configuration's is too large for a benchmark."""


def main() -> None:
    names = sorted(path.stem for path in (CONF / "method").glob("*.yaml"))
    measured = print_steps(
        Case(name, "cpu", "orl_faces", BATCHES.get(name, 0), resolution=size) for name in names for size in SIZES
    )
    print_growth(measured)


def print_growth(measured: list[tuple[Case, Measured]]) -> None:
    """To which power of the side of the picture the time of an image grows; 2 is linear in pixels."""
    print("\ntime of an image over the side of the picture, ordinary phases: to the power")
    by_method: dict[str, list[tuple[float, float]]] = {}
    for case, found in measured:
        by_method.setdefault(case.method, []).append((case.resolution, found.results[0].step / found.batch_size))
    print(", ".join(f"{name} {exponent(points):.1f}" for name, points in by_method.items()))


if __name__ == "__main__":
    main()
