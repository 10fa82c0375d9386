"""Checks the model of the cost of ``aestyle.report plan=`` against the clock, over size and width.

Each case times every phase of a method (its loss and its gradients, as a step takes them) and counts its operations and
the bytes that they move. The model says that time is the sum of both, each at a rate of the machine: the two rates are
fitted over all cases (least squares of relative errors), and every case shows how far it lies from what they predict.
One thread's processor time is taken, which other processes disturb less than the time on the wall.

Run as ``python -m benchmarks.cost_model``.
"""

import statistics
import time

import numpy as np
import torch
from hydra import compose, initialize_config_dir
from scipy.optimize import nnls

from aestyle.engine.phases import Step, only_trainable
from aestyle.entry import CONF
from aestyle.resolvers import register
from benchmarks.growing import exponent

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


def measure(method_name: str, resolution: int, width: int) -> tuple[float, float, float]:
    """Operations of an iteration, bytes that it moves, and median seconds of its phases, each as often as it runs."""
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
                start = time.process_time()
                gradients(method, phase, Step(real, method.draws(phase.name, 0, real)))
                times.append(time.process_time() - start)
        total += statistics.median(times[1:]) * phase.repeat / phase.every
    return cost.flops_per_image * BATCH, cost.traffic_per_image * BATCH, total


def main() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    register()
    print(f"Cost model against the clock: an iteration at batch {BATCH}, fp32, CPU, 1 thread")
    with initialize_config_dir(str(CONF), version_base="1.3"):
        found = np.array([measure(*case) for case in CASES])
    flops, traffic, seconds = found.T
    costs, _ = nnls(np.stack([flops, traffic], 1) / seconds[:, None], np.ones(len(CASES)))
    predicted = costs @ found.T[:2]
    print("method     px  channels  GFLOP  GB moved  measured ms  predicted ms  predicted / measured")
    for (method, px, width), (operations, moved, measured), told in zip(CASES, found, predicted, strict=True):
        print(
            f"{method:<9}  {px:>2}  {width or 'own':>8}  {operations / 1e9:>5.2f}  {moved / 1e9:>8.2f}"
            f"  {measured * 1e3:>11.1f}  {told * 1e3:>12.1f}  {told / measured:>20.2f}"
        )
    rates = [f"{1 / cost / 1e9:.1f}" if cost else "unbound" for cost in costs]
    print(
        f"rates: {rates[0]} GFLOP/s, {rates[1]} GB/s; time grows with the predicted to the power "
        f"{exponent(list(zip(predicted, seconds, strict=True))):.2f}"
    )
    for name, chosen in (("size", [0, 1, 2]), ("width", [3, 1, 4])):
        found, told = (exponent(list(zip(flops[chosen], y[chosen], strict=True))) for y in (seconds, predicted))
        print(f"joint_ae, time over operations with {name}: to the power {found:.2f}, predicted {told:.2f}")


if __name__ == "__main__":
    main()
