"""The paper's Figures 1 and 4 to 12 in small, from the trained models and their inversions.

``python -m experiments.overparam.figures --scale cpu`` (from the top of the checkout) writes PNG files into
``experiments/overparam/out/<scale>/``. Pictures need the run folders and the codes that ``inversions`` left there;
those that are not on this machine are named and left out. Figure 6 needs the result files alone.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import torch
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn.functional import interpolate as resize

from aestyle.latents.batches import decode_all
from aestyle.latents.codes import read_codes
from aestyle.latents.degraded import default_factor, shrink
from aestyle.latents.interpolation import interpolate, lerp
from aestyle.latents.pca import Components, style_components
from aestyle.latents.prior import prior_codes
from aestyle.protocol import LatentModel
from aestyle.studies.figures import MissingRunError, Picture, draw_all, run_folders
from aestyle.studies.inverting import curves_figure
from aestyle.studies.loading import load_run
from aestyle.studies.results import Results
from aestyle.studies.sheets import Cell, Sheet
from aestyle.studies.showing import Options
from experiments.overparam.inversions import SHOWN, folder_of, read_inversion
from experiments.overparam.options import command
from experiments.overparam.paper import Paper
from experiments.overparam.settings import (
    MATRIX,
    MATRIX_PLUS,
    RESTARTED,
    SPACES,
    UPSAMPLED,
    W_PLUS,
    Protocol,
    Setting,
)

COMPARED = (W_PLUS, MATRIX, MATRIX_PLUS)
"""The spaces that the paper shows."""

PAIRS = ((0, 12), (25, 34))
"""Numbers of the held-out pictures whose ways are shown: of different people."""

COLUMNS = 8


@dataclass(frozen=True)
class Inverted:
    """What an inversion left in its run folder.

    Args:
        title: of its setting.
        model: that the codes are of.
        space: of the codes.
        codes: (N, *shape).
        targets: the pictures (N, C, R, R); of upsampling, in full size.
        distances: of the reconstructions from them, as the result file has them.
    """

    title: str
    model: LatentModel
    space: str
    codes: Tensor
    targets: Tensor
    distances: Sequence[float]

    def decode(self, codes: Tensor) -> Tensor:
        """Images of codes."""
        return decode_all(self.model, codes, self.space)

    def cells(self, chosen: Sequence[int]) -> list[Cell]:
        """Reconstructions with their distances."""
        images = self.decode(self.codes[list(chosen)])
        return [Cell(image, f"{self.distances[i]:.3f}") for i, image in zip(chosen, images, strict=True)]


Find = Callable[[Setting], Inverted]
Model = Callable[[str], LatentModel]


def all_pictures(results: Results) -> list[Picture]:
    """Every figure, none of them drawn yet."""
    find, model = partial(inverted, results), partial(model_of, results)
    return [
        Picture("figure1", "Figures 1, 7, 12: ways between two inverted pictures", partial(draw_ways, find)),
        Picture("figure4", "Figure 4: samples, not chosen", partial(draw_samples, model)),
        Picture("figure5", "Figure 5: reconstructions and their distances", partial(draw_reconstructions, find)),
        Picture(
            "figure6",
            "Figure 6: distance against step, median and quartiles; the pull to the mean ends at the dotted line",
            partial(draw_curves, results),
        ),
        Picture(
            "figure8",
            "Figures 8, 10: generator-driven upsampling; distances are those of the small pictures",
            partial(draw_upsampled, find),
        ),
        Picture(
            "figure9", "Figure 9: samples, moved along the fourth principal component", partial(draw_component, model)
        ),
        Picture("figure10-midpoints", "Figure 10: midpoints of random pairs", partial(draw_midpoints, find)),
        Picture("figure10-components", "Figure 10: top 7 principal components", partial(draw_components, model)),
        Picture(
            "figure11",
            "Figure 11: codes that random starts found for one picture, and the ways between them",
            partial(draw_restarts, find),
        ),
    ]


# -- what there is to show -------------------------------------------------------------------------------------------


def first_seed(results: Results, setting: Setting) -> tuple[int, dict[str, Any]]:
    """The first seed with which a setting was inverted, and its numbers.

    Raises:
        MissingRunError: there is none.
    """
    seeds = sorted(seed for run, seed in results.found if run == setting.run)
    for seed in seeds:
        if numbers := read_inversion(results, setting, seed):
            return seed, numbers
    raise MissingRunError(f"no inversion {setting.name}")


def inverted(results: Results, setting: Setting) -> Inverted:
    """What is left of an inversion.

    Raises:
        MissingRunError: it is not on this machine, or not done.
    """
    seed, numbers = first_seed(results, setting)
    path = folder_of(results, setting, seed) / SHOWN
    if not path.exists():
        raise MissingRunError(f"no codes of {setting.name} on this machine")
    codes = read_codes(path)
    model = cast(LatentModel, load_run(results.run_dir(setting.run, seed))[0])
    title = Paper.load().title(setting.name)
    return Inverted(title, model, setting.space, codes.codes, codes.others["targets"], numbers["distance"])


def model_of(results: Results, run: str) -> LatentModel:
    """The trained model of a run."""
    return cast(LatentModel, load_run(run_folders(results, [run])[0])[0])


def _plain(images: Tensor) -> list[Cell]:
    return [Cell(image) for image in images]


# -- figures ---------------------------------------------------------------------------------------------------------


def draw_ways(find: Find, frames: int = 7) -> Sheet:
    """Target, its reconstruction, codes between, the other reconstruction and its target; a row a space."""
    rows, names = [], []
    for a, b in PAIRS:
        for setting in COMPARED:
            it = find(setting)
            way = it.decode(interpolate(it.codes[[a, b]], frames - 1))
            cells = _plain(way)
            cells[0], cells[-1] = it.cells([a])[0], it.cells([b])[0]
            rows.append([Cell(it.targets[a]), *cells, Cell(it.targets[b])])
            names.append(it.title)
    columns = ["target A", "inversion A", *[""] * (frames - 2), "inversion B", "target B"]
    groups = [len(COMPARED) * i for i in range(len(PAIRS))]
    return Sheet(rows, columns=columns, rows=names, row_groups=groups, column_groups=[1, frames + 1])


def draw_samples(model: Model, rows: int = 2) -> Sheet:
    """Samples of the baseline and of overparam, of the prior's seed 0."""
    cells, names = [], []
    for run in ("baseline", "overparam"):
        images = model(run).sample(rows * COLUMNS, seed=0)
        cells += [_plain(part) for part in images.split(COLUMNS)]
        names += [run, *[""] * (rows - 1)]
    return Sheet(cells, rows=names, row_groups=[0, rows])


def draw_reconstructions(find: Find) -> Sheet:
    """Targets and, below, their reconstructions from each space."""
    shown = [find(setting) for setting in SPACES]
    chosen = _spread(len(shown[0].codes))
    rows = [_plain(shown[0].targets[chosen]), *(it.cells(chosen) for it in shown)]
    return Sheet(rows, rows=["target", *(it.title for it in shown)], row_groups=[0, 1])


def draw_curves(results: Results) -> Figure:
    """Distance against step for each space."""
    found = {setting.name: first_seed(results, setting)[1] for setting in SPACES}
    curves = {Paper.load().title(name): torch.tensor(numbers["curves"]).T for name, numbers in found.items()}
    return curves_figure(curves, Protocol.of(results.scale).steps // 2, found[MATRIX.name]["every"])


def draw_upsampled(find: Find) -> Sheet:
    """Small pictures, what each space finds for them, and the pictures that they came from."""
    shown = [find(setting) for setting in UPSAMPLED]
    targets = shown[0].targets
    small = shrink(targets, max(4, default_factor(targets.shape[-1])))
    enlarged = resize(small, size=targets.shape[-2:], mode="nearest")
    chosen = range(len(targets))
    rows = [_plain(enlarged), *(it.cells(chosen) for it in shown), _plain(targets)]
    return Sheet(rows, rows=["given", *(it.title for it in shown), "unknown original"], row_groups=[0, 1, 4])


def draw_component(model: Model, number: int = 3, reach: float = 2.0) -> Sheet:
    """Samples as they are, and moved along one component in all rows of their matrices, both ways."""
    overparam = model(MATRIX.run)
    codes = prior_codes(overparam, MATRIX.space, COLUMNS, seed=0)
    found = _components(overparam, number + 1)
    step = reach * found.std[number] * found.directions[number]
    rows = [_plain(decode_all(overparam, each, MATRIX.space)) for each in (codes - step, codes, codes + step)]
    return Sheet(rows, rows=[f"− {reach:g} σ", "sample", f"+ {reach:g} σ"])


def draw_components(model: Model, count: int = 7, reach: float = 2.0) -> Sheet:
    """One sample, moved along each of the first components."""
    overparam = model(MATRIX.run)
    code = prior_codes(overparam, MATRIX.space, 1, seed=0)
    found = _components(overparam, count)
    amounts = (torch.arange(7) - 3) * reach / 3
    rows = [
        _plain(decode_all(overparam, torch.cat([code + a * s * d for a in amounts]), MATRIX.space))
        for d, s in zip(found.directions, found.std, strict=True)
    ]
    names = [f"component {i + 1} ({share:.0%})" for i, share in enumerate(found.share)]
    return Sheet(rows, rows=names, columns=[f"{a:+.1f} σ" for a in amounts.tolist()])


def draw_midpoints(find: Find) -> Sheet:
    """Midpoints of the same random pairs of inverted pictures, a row a space."""
    shown = [find(setting) for setting in COMPARED]
    order = torch.randperm(len(shown[0].codes), generator=torch.Generator().manual_seed(0))
    a, b = order[:COLUMNS], order[COLUMNS : 2 * COLUMNS]
    rows = [_plain(it.decode(lerp(it.codes[a], it.codes[b], 0.5))) for it in shown]
    targets = [_plain(shown[0].targets[a]), _plain(shown[0].targets[b])]
    names = ["A", "B", *(it.title for it in shown)]
    return Sheet([*targets, *rows], rows=names, row_groups=[0, 2])


def draw_restarts(find: Find, frames: int = 5) -> Sheet:
    """For each picture: two codes that random starts found for it, and the way between them; both models."""
    rows, names = [], []
    for setting in RESTARTED:
        it = find(setting)
        for first in range(0, len(it.codes), setting.repeats):
            way = it.decode(interpolate(it.codes[[first, first + 1]], frames - 1))
            rows.append([Cell(it.targets[first]), *_plain(way)])
            names.append(it.title)
    columns = ["target", "start 1", *[""] * (frames - 2), "start 2"]
    return Sheet(rows, rows=names, columns=columns, column_groups=[1], row_groups=[0, len(rows) // 2])


def _components(model: LatentModel, count: int) -> Components:
    return style_components((prior_codes(model, MATRIX.space, 64, seed) for seed in range(16)), count)


def _spread(total: int) -> list[int]:
    """Numbers of as many pictures as a row has, spread evenly."""
    return [i * total // COLUMNS for i in range(min(COLUMNS, total))]


# -- the command -----------------------------------------------------------------------------------------------------


def main(options: Options) -> None:
    """Draws what can be drawn, and says what cannot."""
    drawn, left_out = draw_all(all_pictures(options.results()), options.output)
    print(*left_out, f"{len(drawn)} pictures are in {options.output}", sep="\n")


if __name__ == "__main__":
    command(main, __doc__)
