"""``task=attributes``."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from aestyle.errors import UserError
from aestyle.latents.directions import Directions, deviations
from aestyle.latents.probe import assign_folds, balanced_accuracy, cross_validated_scores, fit_probe
from aestyle.studies.editing.material import Material, Task, require_images
from aestyle.studies.editing.strips import symmetric, walk_directions
from aestyle.studies.options import is_number, require_whole


@dataclass(frozen=True)
class Attributes(Task):
    """Directions toward the classes of labelled pictures, by linear probes, as strips and in a file.

    Labels are those of the run's data set, or the subfolders of a folder of pictures. How well a probe tells a class
    from the others is measured by cross-validation, so that a direction that means nothing shows as chance, 50 %.

    Args:
        images: labelled pictures to encode; None: all.
        least: pictures that a class needs, to be probed.
        folds: parts that take turns in testing what is fitted to the others.
        ridge: see :func:`~aestyle.latents.probe.fit_probe`.
        along: where edits lead: ``means``: from the mean code of the others to that of the class; ``normal``: the
            probe's normal, which tells the class best but may change a picture little.
        show: pictures in the strips, evenly spread.
        reach: how far they go to both sides, in standard deviations of the codes.
        columns: pictures in a row, an odd number.
    """

    images: int | None = 1000
    least: int = 10
    folds: int = 5
    ridge: float = 0.1
    along: str = "means"
    show: int = 2
    reach: float = 3.0
    columns: int = 5

    def __post_init__(self) -> None:
        """Refuses numbers that cannot be."""
        require_images(self.images, 4)
        require_whole("task.folds", self.folds, 2)
        require_whole("task.least", self.least, self.folds)
        require_whole("task.show", self.show, 1)
        symmetric(self.reach, self.columns)
        if not is_number(self.ridge) or self.ridge <= 0:
            raise UserError(f"task.ridge={self.ridge}: give a number above 0")
        if self.along not in ("means", "normal"):
            raise UserError(f"task.along={self.along}: choose one of means, normal")

    def __call__(self, material: Material, output: Path) -> list[str]:
        """Writes ``attributes.png``, ``.html`` and ``.safetensors``."""
        labelled = material.labels()
        classes = self._classes(labelled.numbers)
        space = material.model.spaces[material.space]
        codes, labels = material.codes.flatten(1).cpu(), torch.tensor(labelled.numbers)
        folds = assign_folds(labelled.numbers, labelled.groups, self.folds)
        scores = cross_validated_scores(codes, labels, folds, classes, self.ridge)
        accuracies = balanced_accuracy(scores, labels, classes)
        probe = fit_probe(codes, labels, classes, self.ridge)
        directions = probe.apart if self.along == "means" else probe.directions
        names = [labelled.name(number) for number in classes]
        result = Directions(
            directions.unflatten(1, space.shape),
            codes.mean(dim=0).unflatten(0, space.shape),
            deviations(codes, directions),
            material.space,
            names,
            "attributes",
            material.origin,
            {"balanced_accuracy": json.dumps(dict(zip(names, accuracies.tolist(), strict=True)))},
        )
        counts = Counter(labelled.numbers)
        told = (
            f"{name} {accuracy:.1%} ({counts[number]} pictures)"
            for name, number, accuracy in zip(names, classes, accuracies, strict=True)
        )
        note = f"balanced accuracy of {self.folds} folds, one class against the others (chance 50 %): {', '.join(told)}"
        show = min(self.show, len(codes))
        shown = material.pick([(2 * i + 1) * len(codes) // (2 * show) for i in range(show)])
        return walk_directions(shown, result, symmetric(self.reach, self.columns), output, [note])

    def _classes(self, numbers: Sequence[int]) -> list[int]:
        counts = Counter(numbers)
        classes = sorted(number for number, count in counts.items() if count >= self.least)
        if not classes or len(counts) < 2:
            raise UserError(
                f"{len(numbers)} pictures of {len(counts)} classes: a probe takes at least 2, one of them of "
                f"task.least={self.least} pictures; give more pictures (task.images=null, split=train)"
            )
        return classes
