"""How much time of the processor every method takes, one after the other in one process.

``python -m experiments.compare.speed --scale cpu`` (from the top of the checkout) measures the trained models whose run
folders are on this machine, and writes ``experiments/compare/results/<scale>/speed.json``; what it holds of the same
trainings already is kept. Wall time of the trainings would measure what else the machine did.
"""

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import torch

from aestyle.engine.module import PhasedModule
from aestyle.protocol import LatentModel
from aestyle.studies.figures import run_dirs
from aestyle.studies.loading import load_run
from aestyle.studies.results import Results, results_folder
from aestyle.studies.running import machine
from aestyle.studies.showing import Options, command
from benchmarks.steps import without_trainer
from experiments.compare.tables import FOLDER, SPEED, methods

ITERATIONS = 16
"""Of a training: as many as lazy regularisers take to come once."""

IMAGES, REPEATS = 16, 5
"""A batch of images to reconstruct or sample, and how often."""


def speed(run_dir: Path) -> dict[str, float | None]:
    """Milliseconds of the processor that an image takes.

    Args:
        run_dir: of a trained model.

    Returns:
        ``training``: in a training that goes on where this one ended; ``reconstruction``: encoded and decoded, None
        without an encoder; ``sample``: from the prior.
    """
    model, cfg, _ = load_run(run_dir)
    latent = cast(LatentModel, model)
    x = torch.rand(IMAGES, model.channels, model.resolution, model.resolution) * 2 - 1

    def reconstruct() -> None:
        latent.decode(latent.encode(x))

    with torch.no_grad():
        sample = _milliseconds(lambda: latent.sample(IMAGES), REPEATS) / IMAGES
        reconstruction = _milliseconds(reconstruct, REPEATS) / IMAGES if model.has_encoder else None
    return {"training": _training(model, int(cfg.batch_size)), "reconstruction": reconstruction, "sample": sample}


def _training(model: PhasedModule, batch_size: int) -> float:
    for network in model.networks.values():
        network.requires_grad_(True)
    sizes = model.batch_sizes(batch_size)
    size = sizes[max(start for start in sizes if start <= model.images_seen)]
    step = without_trainer(model.train(), size)
    return _milliseconds(step, ITERATIONS) / size


def _milliseconds(run: Callable[[], object], times: int) -> float:
    """Mean of several calls, after one that warms up."""
    run()
    start = time.process_time()
    for _ in range(times):
        run()
    return 1e3 * (time.process_time() - start) / times


def measure(results: Results) -> dict[str, Any]:
    """The speed of every method: what is known of these trainings, and what can be measured here."""
    file = results_folder(results.study, results.scale) / SPEED
    known: Mapping[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    found: dict[str, Any] = {}
    for method in methods(results):
        trained = next((r["config_hash"] for (run, _), r in sorted(results.found.items()) if run == method), None)
        folder = next((folder for folder in run_dirs(results, method) if folder.exists()), None)
        if trained and known.get(method, {}).get("trained") == trained:
            found[method] = known[method]
        elif trained and folder:
            found[method] = {"trained": trained, **speed(folder), "machine": machine()}
            print(f"measured: {method}", flush=True)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    return found


def main(options: Options) -> None:
    """Measures and writes."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        measure(options.results())
    finally:
        torch.set_num_threads(threads)


if __name__ == "__main__":
    command(main, __doc__, FOLDER)
