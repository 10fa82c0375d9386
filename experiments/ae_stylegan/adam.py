"""What the AE steps leave in G's one Adam state, which serves them, the GAN steps and path length alike.

``python -m experiments.ae_stylegan.adam --scale cpu`` (from the top of the checkout) reads the last checkpoints of
Table 4's runs and writes ``experiments/ae_stylegan/out/<scale>/adam.md``; run folders are needed.

A step with small gradients still moves the running second moment toward them: between two GAN steps, n AE steps shrink
its root by up to ``sqrt(n + 1)``, and what Adam makes of the next GAN gradient grows by as much.
"""

from pathlib import Path

import torch
from rich.console import Console
from torch import Tensor

from aestyle.engine.checkpoint import LAST, read_checkpoint
from aestyle.studies.results import Results
from aestyle.studies.tables import Cell, Table
from experiments.ae_stylegan.options import Options, command

NAME = "adam"
PAIRS = {
    (discriminators, steps): (f"{discriminators}_joint_{steps}", f"{discriminators}_frozen_{steps}")
    for discriminators in ("shared", "decoupled")
    for steps in (1, 4)
}
"""Runs that differ in nothing but whether G takes the AE steps."""


def gradient_size(checkpoint: Path) -> float:
    """Root of the mean of Adam's second moment over all weights of G: how large it takes a gradient to be.

    Args:
        checkpoint: of a method whose first optimizer holds F and G.
    """
    saved = read_checkpoint(checkpoint)
    names = [key for key in saved["state_dict"] if key.startswith("mapping.")]
    state: dict[int, dict[str, Tensor]] = saved["optimizer_states"][0]["state"]
    moments = [entry["exp_avg_sq"].flatten().double() for index, entry in sorted(state.items()) if index >= len(names)]
    return float(torch.cat(moments).mean().sqrt())


def ratios(results: Results, joint: str, frozen: str) -> list[float]:
    """By how much the AE steps raise it, for each seed whose run folders are here."""
    found = []
    for seed in results.by_seed(joint, "rec_mse"):
        paths = [results.run_dir(run, seed) / "checkpoints" / LAST for run in (joint, frozen)]
        if all(path.exists() for path in paths):
            found.append(gradient_size(paths[0]) / gradient_size(paths[1]))
    return found


def table(results: Results) -> Table:
    """One row a pair of runs."""
    rows = tuple((d, str(steps), Cell.of(ratios(results, *runs))) for (d, steps), runs in PAIRS.items())
    return Table(
        "G's Adam: size of a gradient with AE steps over that without", ("discriminator", "E steps", "ratio"), rows
    )


def write(results: Results, output: Path) -> Table:
    """Writes ``adam.md``, unless there are no run folders: what another machine found stays."""
    made = table(results)
    if any(cell.values for *_, cell in made.rows if isinstance(cell, Cell)):
        output.mkdir(parents=True, exist_ok=True)
        (output / f"{NAME}.md").write_text(made.to_markdown(), encoding="utf-8")
    return made


def main(options: Options) -> None:
    """Prints and writes the table."""
    Console().print(write(options.results(), options.output).to_rich())


if __name__ == "__main__":
    command(main, __doc__)
