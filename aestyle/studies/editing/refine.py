"""``task=refine``."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

import torch
from torch import Tensor

from aestyle.errors import UserError
from aestyle.latents.optimize import InDomainLoss, Optimized, Perceptual, refine
from aestyle.studies.batching import in_batches
from aestyle.studies.editing.material import Material, Task, publish, require_images
from aestyle.studies.options import is_number, require_whole
from aestyle.studies.sheets import Cell, Sheet


@dataclass(frozen=True)
class Refine(Task):
    """Optimises E(x) so that G(E(x)) comes closer to x (in-domain inversion).

    Args:
        perceptual: perceptual distance; None leaves it out.
        weights: weights of the loss.
        steps: optimisation steps.
        lr: learning rate of Adam.
        space: space of the codes: the model's own (None) or a wider one.
        images: number of pictures; None: all.
    """

    perceptual: Perceptual | None = None
    weights: InDomainLoss = field(default_factory=InDomainLoss)
    steps: int = 100
    lr: float = 0.01
    space: str | None = None
    images: int | None = 12

    def __post_init__(self) -> None:
        """Refuses numbers that cannot be."""
        require_whole("task.steps", self.steps, 1)
        require_images(self.images, 1)
        if not is_number(self.lr) or self.lr <= 0:
            raise UserError(f"task.lr={self.lr}: give a number above 0")

    def __call__(self, material: Material, output: Path) -> list[str]:
        """Writes ``refine.png`` and ``refine.safetensors``, with the curves of every picture."""
        model, targets = material.model, material.images
        if targets is None:
            raise UserError("task=refine brings a code closer to a picture: give input=<folder>, not samples")
        if material.given is not None:
            raise UserError("task=refine starts at E(x): leave codes=<file> out, or go on with aestyle.invert")
        space = self.space or model.code_space
        start = model.convert_code(material.codes, model.code_space, space)

        def run(batch: Tensor, position: int, progress: Callable[[int], None]) -> Optimized:
            return refine(model, batch, self.perceptual, self.weights, self.steps, self.lr, space, progress)

        found = in_batches(run, targets, material.batch_size, self.steps, "refining")
        codes, curves = found.codes, {f"curves/{name}": curve for name, curve in found.curves.items()}
        kinds = {"picture": targets.cpu()}
        for kind, code in {"G(E(x))": start, "refined": codes}.items():
            kinds[kind] = material.decode(code, space)
        distances = {kind: self._distances(kinds["picture"], images) for kind, images in kinds.items()}
        captions = {
            kind: ["  ".join(f"{d:.3f}" for d in found.values()) for found in distances[kind]] for kind in kinds
        }
        captions["picture"] = list(material.names)
        cells = [[Cell(kinds[kind][i], captions[kind][i]) for kind in kinds] for i in range(len(targets))]
        measures = ", ".join(distances["refined"][0])
        per_row = 3 if len(cells) > 6 else 1  # pictures side by side
        rows = [list(chain(*cells[i : i + per_row])) for i in range(0, len(cells), per_row)]
        sheet = Sheet(
            rows,
            title=f"{self.steps} steps in {space}; below: {measures}",
            columns=list(kinds) * per_row,
            column_groups=range(0, len(kinds) * per_row, len(kinds)),
        )
        path = publish(sheet, output, "refine")
        saved = material.save_codes(output / "refine.safetensors", space, codes=codes, start=start, **curves)
        before, after = (_means(distances[kind]) for kind in ("G(E(x))", "refined"))
        changes = ", ".join(f"{name} {before[name]:.4f} -> {after[name]:.4f}" for name in before)
        return [f"{len(codes)} pictures refined (mean {changes}) are in {path}, codes and curves in {saved}"]

    @torch.no_grad()
    def _distances(self, targets: Tensor, images: Tensor) -> list[dict[str, float]]:
        """Unweighted distances of each picture."""
        distances = []
        for x, rec in zip(targets.split(1), images.split(1), strict=True):
            found = {"mse": (x - rec).square().mean().item()}
            if self.perceptual is not None:
                found["perceptual"] = self.perceptual(x, rec).item()
            distances.append(found)
        return distances


def _means(distances: Sequence[dict[str, float]]) -> dict[str, float]:
    return {name: sum(d[name] for d in distances) / len(distances) for name in distances[0]}
