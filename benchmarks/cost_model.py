"""Checks the model of the cost of ``aestyle.report plan=`` against the clock, over size and width.

Each case times every phase of a method (its loss and its gradients, as a step takes them) and counts its operations.
If the model holds, all cases get about the same number of operations a second: the exponent of time over operations,
fitted over all of them, is near 1, and one rate predicts every time. Small cases get less of the machine than large
ones, so that plans state the share of the peak that they assume.

Run as ``python -m benchmarks.cost_model``.
"""

import statistics
import time

import numpy as np
import torch
from hydra import compose, initialize_config_dir

from aestyle.engine.phases import Step, only_trainable
from aestyle.entry import CONF
from aestyle.resolvers import register

ROUNDS = 3
CASES = [
    *(("joint_ae", resolution, width) for resolution, width in ((16, 64), (32, 64), (64, 64), (32, 32), (32, 128))),
    *(("overparam", resolution, width) for resolution, width in ((16, 64), (32, 64), (32, 128))),
    *(("vaegan", resolution, 0) for resolution in (16, 32)),
]
"""Method, pixels, channels."""

BATCH = 4


def overrides(method: str, resolution: int, width: int) -> list[str]:
    """Options of a case."""
    options = [f"method={method}", "dataset=folder", "dataset.path=none", "scale=cpu", f"resolution={resolution}"]
    options.append("scale.beta_kimg=0")
    if width:
        options += [f"scale.channels={{4: {width}, 8: {width}, 16: {width}, 32: {width}, 64: {width}}}"]
    return options


def measure(method_name: str, resolution: int, width: int) -> tuple[float, float]:
    """Operations of an iteration, and median seconds of its phases together, each as often as it runs."""
    from hydra.utils import instantiate

    from aestyle.studies.costs import gradients, method_cost, planned

    cfg = compose("train", overrides(method_name, resolution, width))
    cost = method_cost(cfg, BATCH)
    method = planned(instantiate(cfg.method, _convert_="all"))
    real = torch.rand(BATCH, method.channels, resolution, resolution) * 2 - 1
    total = 0.0
    for phase in method.phases():
        times = []
        for _ in range(ROUNDS + 1):
            with only_trainable(method.networks, phase.networks):
                start = time.perf_counter()
                gradients(method, phase, Step(real, method.draws(phase.name, 0, real)))
                times.append(time.perf_counter() - start)
        total += statistics.median(times[1:]) * phase.repeat / phase.every
    return cost.flops_per_image * BATCH, total


def main() -> None:
    torch.manual_seed(0)
    register()
    print(f"Cost model against the clock: batch {BATCH}, fp32, CPU, {torch.get_num_threads()} threads")
    print("method     px  channels  GFLOP  measured ms  GFLOP/s  predicted ms  predicted / measured", flush=True)
    with initialize_config_dir(str(CONF), version_base="1.3"):
        found = {case: measure(*case) for case in CASES}
    flops, seconds = (np.array(column) for column in zip(*found.values(), strict=True))
    rate = float(np.exp(np.mean(np.log(flops / seconds))))
    for (method, resolution, width), (operations, measured) in found.items():
        predicted = operations / rate
        print(
            f"{method:<9}  {resolution:>2}  {width or 'own':>8}  {operations / 1e9:>5.2f}  {measured * 1e3:>11.1f}"
            f"  {operations / measured / 1e9:>7.1f}  {predicted * 1e3:>12.1f}  {predicted / measured:>20.2f}",
            flush=True,
        )
    exponent = np.polyfit(np.log(flops), np.log(seconds), 1)[0]
    print(f"one rate for all: {rate / 1e9:.1f} GFLOP/s; time grows with operations to the power {exponent:.2f}")
    for name, chosen in (("size", [0, 1, 2]), ("width", [3, 1, 4])):
        grown = np.polyfit(np.log(flops[chosen]), np.log(seconds[chosen]), 1)[0]
        print(f"joint_ae over {name} alone: to the power {grown:.2f}")


if __name__ == "__main__":
    main()
