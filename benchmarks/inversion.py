"""Times inversion, batched and one by one: seconds a picture and 100 steps, with the offline perceptual loss.

The two alternate, so that a drift of the machine meets both. Run as ``python -m benchmarks.inversion``.
"""

import statistics
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from aestyle.latents.inversion import Schedule, Weighted, distance_losses, invert, start_codes
from aestyle.metrics.perceptual import EffLite0Distance
from benchmarks.steps import seconds

ROUNDS, STEPS, PICTURES = 5, 5, 16
CASES = [("stylegan2", "w"), ("stylegan2", "w_plus"), ("overparam", "w_rows"), ("overparam", "w_rows_plus")]


def built(method: str) -> Any:
    """A method at random weights and 32 px, as ``scale=cpu`` builds it."""
    from hydra import compose, initialize_config_dir
    from hydra.utils import instantiate

    from aestyle.entry import CONF
    from aestyle.resolvers import register

    register()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("train", [f"method={method}", "scale=cpu", "dataset=orl_faces"])
    return instantiate(cfg.method, _convert_="all").eval().requires_grad_(False)


def inversion(model: Any, space: str, images: Tensor, codes: Tensor) -> Callable[[], object]:
    """The optimisation alone, of a whole batch; the schedule has no mean to look for."""
    losses = distance_losses(images, {"perceptual": Weighted(EffLite0Distance())})
    return lambda: invert(model, codes, losses, space, Schedule(STEPS, shrink_until=0.0))


def compare(method: str, space: str) -> tuple[float, float]:
    """Median seconds a picture and 100 steps: batched, and one by one."""
    torch.manual_seed(0)
    model = built(method)
    images = model.sample(PICTURES)
    codes = start_codes(model, images, space)
    batched = inversion(model, space, images, codes)
    single = [inversion(model, space, *pair) for pair in zip(images.split(1), codes.split(1), strict=True)]
    times = [(seconds(batched), seconds(lambda: [run() for run in single])) for _ in range(1 + ROUNDS)]
    together, alone = (statistics.median(column) for column in zip(*times[1:], strict=True))
    return together / PICTURES * 100 / STEPS, alone / PICTURES * 100 / STEPS


def main() -> None:
    print(f"Inversion of {PICTURES} pictures of 32 px, CPU, {torch.get_num_threads()} threads: s / picture / 100 steps")
    print("method     space        batched  one by one  ratio")
    for method, space in CASES:
        together, alone = compare(method, space)
        print(f"{method:<9}  {space:<11}  {together:>7.2f}  {alone:>10.2f}  {together / alone:>5.2f}", flush=True)


if __name__ == "__main__":
    main()
