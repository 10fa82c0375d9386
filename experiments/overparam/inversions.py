"""Inverts the held-out pictures into the spaces of the trained models, and measures what came out.

``python -m experiments.overparam.inversions --scale cpu`` (from the top of the checkout) works through
``settings.SETTINGS``, goes on where it was stopped, and finds everything done the next time. Codes, curves and pictures
lie in the run folders (``inversions/<setting>``), the numbers in
``experiments/overparam/results/<scale>/inversions/<setting>-seed<k>.json``, under version control. With
``--seeds 0 1 2`` it inverts with the models of all of these seeds.
"""

import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from aestyle.latents.batches import decode_all, encode_all
from aestyle.latents.codes import Codes, read_codes
from aestyle.latents.interpolation import choose_pairs, lerp, path_lengths
from aestyle.latents.inversion import Distance, Weighted, invert_pictures, squared_error
from aestyle.metrics.frechet import frechet_distance
from aestyle.metrics.recipe import Subject
from aestyle.protocol import LatentModel
from aestyle.studies.inverting import CODES, CURVES, Inversion, Targets, find_targets
from aestyle.studies.loading import load_data, load_run
from aestyle.studies.results import Results, results_folder
from aestyle.studies.running import machine
from aestyle.studies.showing import Options, chosen, in_one_line, parser
from experiments.overparam.options import FOLDER
from experiments.overparam.settings import SETTINGS, How, Protocol, Setting

EVERY = 5
"""A result file holds the curves at each of so many steps."""

BATCH = 20

SHOWN = "shown.safetensors"
"""Codes beside the pictures that they are of, for the figures."""


# -- one setting -----------------------------------------------------------------------------------------------------


def run_setting(setting: Setting, run_dir: Path, protocol: Protocol, input: str | None = None) -> dict[str, Any]:
    """Finds codes of pictures, or reads those of before, and measures them.

    Args:
        setting: how.
        run_dir: of a trained model of ``setting.run``.
        protocol: with what.
        input: folder of pictures; None: the test split of the run.

    Returns:
        What the result file holds: names of the pictures, distance and mean squared error of each, the curve of each at
        every fifth step, seconds a picture, and what :func:`interpolated` or :func:`between` say.
    """
    targets = targets_of(setting, run_dir, protocol, input)
    model, folder = cast(LatentModel, targets.model), run_dir / "inversions" / setting.name
    codes, curves = find_codes(setting, targets, protocol, folder)
    Codes(codes, setting.space, targets.names, others={"targets": targets.images}).save(folder / SHOWN)
    rec = decode_all(model, codes, setting.space)
    loss = protocol.loss(setting, targets.images.shape[-1])
    told = {
        "setting": setting.name,
        "steps": 0 if curves is None else protocol.steps,
        "distance_of": protocol.distance.name,
        "pictures": list(targets.names),
        "distance": _rounded(_in_batches(loss, targets.images, rec)),
        "error": _rounded(squared_error(targets.images, rec)),
        "every": EVERY,
        "curves": None if curves is None else _rounded(curves[::EVERY].T),
        "seconds": _rounded(seconds_per_picture(setting, targets, protocol)),
    }
    if setting.how == How.RESTARTED:
        return {**told, "between": _rounded(between(setting, targets, codes, protocol))}
    return told if setting.how == How.UPSAMPLED else {**told, **interpolated(setting, targets, codes, rec, protocol)}


def targets_of(setting: Setting, run_dir: Path, protocol: Protocol, input: str | None = None) -> Targets:
    """The model and the pictures of a setting, each as often as it is inverted; see :func:`run_setting`."""
    found = find_targets(str(run_dir), input, limit=setting.images or protocol.images)
    names = [f"{name}-{i}" if setting.repeats > 1 else name for name in found.names for i in range(setting.repeats)]
    return replace(found, names=names, images=found.images.repeat_interleave(setting.repeats, dim=0))


def find_codes(
    setting: Setting, targets: Targets, protocol: Protocol, folder: Path
) -> tuple[Tensor, np.ndarray[Any, Any] | None]:
    """Codes (N, *shape) and their curves (steps + 1, N); a killed optimisation goes on in ``folder``."""
    if setting.how == How.ENCODED:
        codes = encode_all(cast(LatentModel, targets.model), targets.images)
        return codes, None
    told = {"setting": setting.name, "steps": protocol.steps, "distance": protocol.distance.name}
    distances = {"perceptual": Weighted(protocol.loss(setting, targets.images.shape[-1]))}
    how = (setting.space, setting.start, setting.schedule(protocol.steps))
    Inversion(distances, *how, batch_size=BATCH, told=told)(targets, folder)
    codes = read_codes(folder / CODES).codes.to(targets.images.device)
    return codes, np.load(folder / CURVES)["perceptual"]


def interpolated(setting: Setting, targets: Targets, codes: Tensor, rec: Tensor, protocol: Protocol) -> dict[str, Any]:
    """Realism of reconstructions and of midpoints of all pairs, and lengths of the ways (Tables 2 and 3).

    Args:
        setting: of the codes.
        targets: model and pictures.
        codes: (N, *shape).
        rec: their images.
        protocol: distance and features.

    Returns:
        Fréchet distances with the number of pictures behind them, and, for each picture, the mean length of its ways
        to all others.
    """
    model = cast(LatentModel, targets.model)
    _, cfg, info = load_run(targets.info.run_dir)
    subject = Subject(None, load_data(cfg, info))
    train = subject.features(protocol.extractor, "train")

    def frechet(images: Tensor) -> float:
        return frechet_distance(subject.extract(protocol.extractor, images.split(BATCH)), train)

    pairs = choose_pairs(len(codes), "all")
    lengths = path_lengths(model, codes, pairs, protocol.distance, setting.space)
    ends = torch.tensor(pairs).T.flatten()
    path = torch.zeros(len(codes)).index_add(0, ends, lengths.repeat(2)) / (len(codes) - 1)
    return {
        "frechet_of": protocol.extractor.name,
        "reference": len(train),
        "rec_frechet": frechet(rec),
        "midpoint_frechet": frechet(midpoints(model, codes, pairs, setting.space)),
        "midpoints": len(pairs),
        "path": _rounded(path),
    }


def between(setting: Setting, targets: Targets, codes: Tensor, protocol: Protocol) -> Tensor:
    """How far midpoints of two codes of one picture are from it: the mean over its pairs of codes, a number each."""
    pairs, repeats = choose_pairs(setting.repeats, "all"), setting.repeats
    model = cast(LatentModel, targets.model)
    found = []
    for first in range(0, len(codes), repeats):
        middle = midpoints(model, codes[first : first + repeats], pairs, setting.space)
        found.append(_in_batches(protocol.distance, targets.images[first].expand_as(middle), middle).mean())
    return torch.stack(found)


def midpoints(model: LatentModel, codes: Tensor, pairs: Sequence[tuple[int, int]], space: str) -> Tensor:
    """Images of the codes in the middle between two."""
    images = [decode_all(model, lerp(codes[a], codes[b], 0.5)[None], space) for a, b in pairs]
    return torch.cat(images)


def seconds_per_picture(setting: Setting, targets: Targets, protocol: Protocol, steps: int = 5) -> Tensor:
    """Seconds of this process for the codes of one picture, from a few steps of one batch.

    Seconds of the processor where there is no GPU: a machine with other work on it does not count.
    """
    model, images = cast(LatentModel, targets.model), targets.images[:BATCH]
    clock: Callable[[], float] = time.perf_counter if images.is_cuda else time.process_time
    distances = {"perceptual": Weighted(protocol.loss(setting, images.shape[-1]))}

    def seconds(steps: int) -> float:
        start = clock()
        if steps:
            invert_pictures(model, images, distances, setting.space, setting.start, setting.schedule(steps))
        else:
            encode_all(model, images, BATCH)
        return (clock() - start) / len(images)

    if setting.how == How.ENCODED:
        return torch.tensor(min(seconds(0) for _ in range(3)))
    seconds(1)  # warm
    return torch.tensor((seconds(1 + steps) - seconds(1)) / steps * protocol.steps)


@torch.no_grad()
def _in_batches(distance: Distance, x: Tensor, y: Tensor) -> Tensor:
    return torch.cat([distance(a, b) for a, b in zip(x.split(BATCH), y.split(BATCH), strict=True)])


def _rounded(values: Tensor | np.ndarray[Any, Any]) -> Any:
    """Numbers, in nested lists, with five significant digits."""

    def short(value: Any) -> Any:
        return [short(each) for each in value] if isinstance(value, list) else float(f"{value:.5g}")

    return short(values.tolist())


# -- all settings ----------------------------------------------------------------------------------------------------


def result_path(results: Results, setting: Setting, seed: int) -> Path:
    """Where the numbers of a setting are."""
    return results_folder(results.study, results.scale) / "inversions" / f"{setting.name}-seed{seed}.json"


def folder_of(results: Results, setting: Setting, seed: int) -> Path:
    """Where codes, curves and pictures of a setting are; it may be on another machine."""
    return results.run_dir(setting.run, seed) / "inversions" / setting.name


def read_inversion(results: Results, setting: Setting, seed: int) -> dict[str, Any] | None:
    """The numbers of a setting, if they are there and belong to the very training that the study has."""
    path, trained = result_path(results, setting, seed), results.found.get((setting.run, seed))
    if not path.exists() or trained is None:
        return None
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content if content["trained"] == trained["config_hash"] else None


def write_inversion(results: Results, setting: Setting, seed: int, content: dict[str, Any]) -> None:
    """Writes the numbers of a setting; a reader sees all of them or none."""
    path = result_path(results, setting, seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(f".{os.getpid()}.tmp")
    unfinished.write_text(json.dumps(content) + "\n", encoding="utf-8")
    unfinished.replace(path)


def main(options: Options, seeds: Sequence[int] = (0,), input: str | None = None) -> None:
    """Does what is missing.

    Args:
        options: of the study.
        seeds: of the models.
        input: folder of pictures to invert; None: the test split of the runs.
    """
    results, protocol = options.results(), Protocol.of(options.scale)
    for seed in seeds:
        for setting in SETTINGS:
            trained = results.found.get((setting.run, seed))
            if trained is None or read_inversion(results, setting, seed):
                print(f"{'not trained' if trained is None else 'done'}: {setting.name}-seed{seed}")
                continue
            content = run_setting(setting, results.run_dir(setting.run, seed), protocol, input)
            facts = {"seed": seed, "trained": trained["config_hash"], "machine": machine()}
            write_inversion(results, setting, seed, {**facts, **content})
            print(f"inverted: {setting.name}-seed{seed}, median distance {np.median(content['distance']):.4g}")


if __name__ == "__main__":
    asked = parser(__doc__, FOLDER)
    asked.add_argument("--seeds", type=int, nargs="+", default=[0], help="invert with the models of these seeds")
    asked.add_argument("--input", help="folder of pictures to invert; without it the test split of the runs")
    given = asked.parse_args()
    with in_one_line():
        main(chosen(given), given.seeds, given.input)
