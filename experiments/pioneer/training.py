"""How the divergences of codes went along the trainings, kept from run folders with the results.

``record`` copies what it needs from each ``stats.jsonl`` into
``experiments/pioneer/results/<scale>/training/<run>-seed<k>.json``, under version control, so that the figure and the
table of them can be made anew on a machine without the run folders.
"""

import json
from pathlib import Path

import numpy as np
from scipy.special import digamma

from aestyle.engine.callbacks.stats import FILE as STATS
from aestyle.studies.report import read_lines
from aestyle.studies.results import Results, results_folder

REAL, FAKE, GENERATED = "loss/kl_real", "loss/kl_fake", "loss/kl_G"
"""KL of the codes of real images; of generated ones in E's step; of generated ones in G's step."""

EXCESS = "health/kl_real_above_floor"

KEPT = ("kimg", REAL, FAKE, GENERATED, EXCESS, "score/cosine", "health/resolution")

Curves = dict[str, np.ndarray]
"""What is kept of one run: equally long, by name; ``health/resolution`` only where networks grow."""


def keep(results: Results) -> None:
    """Copies the curves of every run whose folder is here."""
    for (run, seed), result in results.found.items():
        lines = [line for line in read_lines(results.run_dir(run, seed) / STATS) if EXCESS in line]
        if lines:
            curves = {name: [float(f"{line[name]:.5g}") for line in lines] for name in KEPT if name in lines[0]}
            file = _file(results, run, seed)
            file.parent.mkdir(parents=True, exist_ok=True)
            content = {"trained": result["config_hash"], "curves": curves}
            file.write_text(json.dumps(content) + "\n", encoding="utf-8")


def kept(results: Results, run: str) -> dict[int, Curves]:
    """The curves of a run by seed; those of another training do not count."""
    found = {}
    for (name, seed), result in sorted(results.found.items()):
        file = _file(results, name, seed)
        if name == run and file.exists():
            content = json.loads(file.read_text(encoding="utf-8"))
            if content["trained"] == result["config_hash"]:
                found[seed] = {key: np.array(values) for key, values in content["curves"].items()}
    return found


def above_floor(curves: Curves, name: str) -> np.ndarray:
    """A divergence without the least value that codes on the sphere can have."""
    floor = curves[REAL] - curves[EXCESS]
    return curves[name] - floor


def first(values: np.ndarray) -> float:
    """Mean over the first tenth of a training."""
    return float(values[: _tenth(values)].mean())


def last(values: np.ndarray) -> float:
    """Mean over the last tenth of a training."""
    return float(values[-_tenth(values) :].mean())


def batch_of(results: Results, run: str) -> int | None:
    """Images an iteration of a run has at full size; None where no result tells."""
    for (name, _), result in results.found.items():
        if name == run and "config" in result:
            config = result["config"]
            grown = config.get(f"method.growth.batch_sizes.{config['resolution']}")
            return int(grown or config["batch_size"])
    return None


def of_uniform_codes(batch: int) -> float:
    """How far above the floor the divergence of so many codes is on average that *are* uniform on the sphere.

    The variances of a batch scatter, and so the mean of their logarithms is smaller. In many dimensions each coordinate
    is nearly normal, and ``B v / sigma^2`` has ``B - 1`` degrees of freedom:
    ``E log v = log sigma^2 + digamma((B - 1) / 2) + log(2 / B)``.

    Args:
        batch: B, at least 2.
    """
    return float(-(digamma((batch - 1) / 2) + np.log(2 / batch)) / 2)


def _tenth(values: np.ndarray) -> int:
    return max(1, len(values) // 10)


def _file(results: Results, run: str, seed: int) -> Path:
    return results_folder(results.study, results.scale) / "training" / f"{run}-seed{seed}.json"
