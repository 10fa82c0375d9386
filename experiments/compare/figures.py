"""Reconstructions and samples of every method, side by side.

``python -m experiments.compare.figures --scale cpu`` (from the top of the checkout) writes a PNG file into
``experiments/compare/out/<scale>/``. Methods whose run folders are not on this machine are left out of it.
"""

from functools import partial
from typing import cast

import torch

from aestyle.protocol import LatentModel
from aestyle.studies.figures import MissingRunError, Picture, draw_all, pictures_of, run_folders
from aestyle.studies.loading import load
from aestyle.studies.results import Results
from aestyle.studies.sheets import Cell, Sheet
from aestyle.studies.showing import Options, command
from experiments.compare.tables import FOLDER, methods

RECONSTRUCTIONS, SAMPLES = 8, 8
"""Columns of each kind."""


def all_pictures(results: Results) -> list[Picture]:
    """The one sheet, not drawn yet."""
    caption = (
        "Every method: reconstructions of held-out pictures (left; none without an encoder), and samples of the "
        "prior's seed 0, not chosen (right; above them training pictures)"
    )
    return [Picture("methods", caption, partial(draw_methods, results))]


@torch.no_grad()
def draw_methods(results: Results) -> Sheet:
    """Real pictures in the first row, then one row a method."""
    folders = {}
    for method in methods(results):
        try:
            (folders[method],) = run_folders(results, [method])
        except MissingRunError:
            continue
    if not folders:
        raise MissingRunError("no run folder of any method")
    some = next(iter(folders.values()))
    x = pictures_of(some, RECONSTRUCTIONS)
    rows: list[list[Cell | None]] = [[Cell(image) for image in (*x, *pictures_of(some, SAMPLES, "train"))]]
    for folder in folders.values():
        model = load(folder)
        latent = cast(LatentModel, model)
        rec = map(Cell, latent.decode(latent.encode(x))) if model.has_encoder else [None] * RECONSTRUCTIONS
        rows.append([*rec, *map(Cell, latent.sample(SAMPLES, seed=0))])
    return Sheet(rows, rows=["real", *folders], row_groups=[0, 1], column_groups=[0, RECONSTRUCTIONS])


def main(options: Options) -> None:
    """Draws what can be drawn, and says what cannot."""
    drawn, left_out = draw_all(all_pictures(options.results()), options.output)
    print(*left_out, f"{len(drawn)} pictures are in {options.output}", sep="\n")


if __name__ == "__main__":
    command(main, __doc__, FOLDER)
