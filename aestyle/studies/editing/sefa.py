"""``task=sefa``."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from aestyle.errors import UserError
from aestyle.latents.directions import Directions, style_deviations
from aestyle.latents.mixing import Layers, choose_layers
from aestyle.latents.prior import affordable, prior_codes
from aestyle.latents.sefa import factorize, factorize_rows
from aestyle.protocol import RowStyledModel, StyledModel
from aestyle.studies.editing.material import Material, Task, require_images
from aestyle.studies.editing.strips import in_layers, symmetric, walk_directions
from aestyle.studies.options import require_whole


@dataclass(frozen=True)
class SeFa(Task):
    """Closed-form factorisation (Shen and Zhou, arXiv:2007.06600), drawn as strips and written as directions.

    The weights are those of the affine layers that styles enter; without styles, of the decoder's first layer.

    Args:
        components: how many directions, the one of the largest eigenvalue first.
        layers: layers whose weights count, and which move; None: all.
        normalize: every output's weights have length 1 first, as in the authors' code.
        rows: of style matrices: ``shared``: all rows move alike; ``own``: each along its own direction, that which
            changes its kernels most.
        images: number of pictures in the strips; None: all.
        reach: how far they go to both sides, in standard deviations of the prior's styles.
        columns: pictures in a row, an odd number.
    """

    shows_samples: ClassVar[bool] = True
    components: int = 6
    layers: Layers | None = None
    normalize: bool = True
    rows: str = "shared"
    images: int | None = 1
    reach: float = 3.0
    columns: int = 5

    def __post_init__(self) -> None:
        """Refuses numbers that cannot be."""
        require_whole("task.components", self.components, 1)
        require_images(self.images, 1)
        symmetric(self.reach, self.columns)
        if self.rows not in ("shared", "own"):
            raise UserError(f"task.rows={self.rows}: choose one of shared, own")

    def __call__(self, material: Material, output: Path) -> list[str]:
        """Writes ``sefa.png``, ``.html`` and ``.safetensors``."""
        model = material.model
        if not isinstance(model, StyledModel):
            raise UserError(f"{type(model).__name__}: codes enter no linear layer whose weights could be factorised")
        weights = list(model.style_weights())
        chosen = choose_layers("0-" if self.layers is None else self.layers, len(weights))
        found, values = self._factorize(model, weights, chosen)
        space = list(model.spaces)[:2][-1]
        prior = prior_codes(model, space, affordable(model))
        mean = prior.flatten(0, -2).mean(dim=0).expand(found.shape[1:])
        std = style_deviations(prior, found)
        directions, mean, space = in_layers(model, found, mean, None if self.layers is None else chosen)
        names = [f"direction {i}" for i in range(self.components)]
        facts = {"eigenvalues": ", ".join(f"{value:.4g}" for value in values)}
        result = Directions(directions, mean, std, space, names, "sefa", material.origin, facts)
        note = f"from the weights of {_listed(chosen, len(weights))}; eigenvalues: {facts['eigenvalues']}"
        return walk_directions(material, result, symmetric(self.reach, self.columns), output, [note])

    def _factorize(self, model: StyledModel, weights: list[Tensor], chosen: list[int]) -> tuple[Tensor, Tensor]:
        used = [weights[i] for i in chosen]
        if self.rows == "shared":
            return factorize(used, self.components, self.normalize)
        space = model.spaces[list(model.spaces)[:2][-1]]
        if not isinstance(model, RowStyledModel) or not space.rows:
            raise UserError(f"task.rows=own: codes of {type(model).__name__} have no rows; give task.rows=shared")
        energies = model.kernel_energies()
        with torch.no_grad():
            return factorize_rows(used, [energies[i] for i in chosen], self.components)


def _listed(chosen: list[int], count: int) -> str:
    return f"all {count} layers" if len(chosen) == count else f"layers {', '.join(map(str, chosen))} of 0-{count - 1}"
