"""``task=ganspace``."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from torch import Tensor

from aestyle.errors import UserError
from aestyle.latents.directions import Directions
from aestyle.latents.mixing import Layers
from aestyle.latents.pca import code_components, style_components
from aestyle.latents.prior import affordable, prior_codes
from aestyle.protocol import LatentModel
from aestyle.studies.editing.material import Material, Task, require_images
from aestyle.studies.editing.strips import in_layers, symmetric, walk_directions
from aestyle.studies.options import require_whole


@dataclass(frozen=True)
class GANSpace(Task):
    """Principal components of styles (Härkönen et al., arXiv:2004.02546), drawn as strips and written as directions.

    Args:
        components: how many, the widest first.
        of: whose components: ``prior`` (samples) or ``codes`` (of the pictures, for models whose prior is a Gaussian
            that no mapping network shapes).
        samples: codes of the prior; the authors take 1,000,000.
        whole: components of whole codes, which move rows apart from each other; false: of single styles, which move
            all rows and layers together.
        layers: layers that move; None: all.
        images: number of pictures in the strips; None: all.
        reach: how far they go to both sides, in standard deviations.
        columns: pictures in a row, an odd number.
    """

    shows_samples: ClassVar[bool] = True
    components: int = 10
    of: str = "prior"
    samples: int = 10000
    whole: bool = False
    layers: Layers | None = None
    images: int | None = 1
    reach: float = 2.0
    columns: int = 5

    def __post_init__(self) -> None:
        """Refuses numbers that cannot be."""
        require_whole("task.components", self.components, 1)
        require_whole("task.samples", self.samples, 2)
        require_images(self.images, 1)
        symmetric(self.reach, self.columns)
        if self.of not in ("prior", "codes"):
            raise UserError(f"task.of={self.of}: choose one of prior, codes")
        if self.whole and self.layers is not None:
            raise UserError("task.layers belongs to components of single styles: give task.whole=false")

    def __call__(self, material: Material, output: Path) -> list[str]:
        """Writes ``ganspace.png``, ``.html`` and ``.safetensors``."""
        model = material.model
        if self.of == "prior" and len(model.spaces) == 1:
            raise UserError(
                f"{type(model).__name__}: its prior is a Gaussian, in which all directions are alike; "
                "give task.of=codes and input=<folder of many pictures>"
            )
        space = list(model.spaces)[:2][-1] if self.of == "prior" else material.space
        shape = model.spaces[space].shape
        if self.whole:
            codes = prior_codes(model, space, affordable(model, self.samples)) if self.of == "prior" else material.codes
            found = code_components(codes, self.components)
            directions, mean = found.directions.unflatten(1, shape), found.mean.unflatten(0, shape)
        else:
            found = style_components(self._codes(material, space), self.components)
            directions, mean, space = in_layers(model, found.directions, found.mean, self.layers)
        numbers = range(self.components)
        facts = {"share": ", ".join(f"{share:.4f}" for share in found.share)}
        result = Directions(
            *(directions, mean, found.std, space, [f"component {i}" for i in numbers], "ganspace", material.origin),
            facts,
        )
        note = f"{self.components} components hold {found.share.sum():.1%} of the variance ({facts['share']})"
        return walk_directions(material, result, symmetric(self.reach, self.columns), output, [note])

    def _codes(self, material: Material, space: str) -> Iterator[Tensor]:
        if self.of == "codes":
            yield material.codes
        else:
            yield from _prior_batches(material.model, space, self.samples)


def _prior_batches(model: LatentModel, space: str, n: int) -> Iterator[Tensor]:
    """``n`` codes of the prior, as many at a time as memory allows."""
    size = affordable(model)
    for seed, done in enumerate(range(0, n, size)):
        yield prior_codes(model, space, min(size, n - done), seed)
