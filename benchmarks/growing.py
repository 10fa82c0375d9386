"""Fits how the time of an ordinary training step grows with batch and width, at 32 px.

The exponent of a power law through the points: 1 is in proportion, 2 of the width is what convolutions need. Size has a
fit for every method in :mod:`benchmarks.methods`. Run as ``python -m benchmarks.growing``.
"""

from collections.abc import Sequence

import numpy as np
import torch

from benchmarks.steps import Case, fresh, medians, method_of, without_trainer

BATCHES = {"joint_ae": (4, 8, 16, 32), "overparam": (4, 8, 16, 32), "pioneer": (4, 8, 16, 32), "aae": (256, 1024, 4096)}
WIDTHS = {"joint_ae": (32, 64, 128, 256), "pioneer": (32, 64, 128, 256)}
WIDE_BATCH = 4


def exponent(points: Sequence[tuple[float, float]]) -> float:
    """The exponent b of a power law y = a x^b through points (x, y), by least squares of logarithms."""
    x, y = np.log(np.array(points)).T
    return float(np.polyfit(x, y, 1)[0])


def of_batch(method: str, batch: int) -> Case:
    """A method with this many images a step."""
    return Case(method, "cpu", "orl_faces", batch)


def of_width(method: str, width: int) -> Case:
    """A method with this many channels at every resolution."""
    widths = f"{{4: {width}, 8: {width}, 16: {width}, 32: {width}}}"
    return Case(method, "cpu", "orl_faces", WIDE_BATCH, (f"scale.channels={widths}",))


def measure(case: Case) -> float:
    """Median seconds of an ordinary step; in a fresh process."""
    torch.manual_seed(0)
    step = without_trainer(method_of(case), case.batch_size)
    step()
    step()
    return medians(step)[0]


def main() -> None:
    print(f"{'method':<9}  what   {'values':<18}  {'step ms':<27}  time to the power")
    for what, values, case in (("batch", BATCHES, of_batch), ("width", WIDTHS, of_width)):
        for method, xs in values.items():
            steps = [fresh(measure, case(method, x)) for x in xs]
            print(
                f"{method:<9}  {what}  {', '.join(map(str, xs)):<18}  {', '.join(f'{s * 1e3:.0f}' for s in steps):<27}"
                f"  {exponent(list(zip(xs, steps, strict=True))):.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
