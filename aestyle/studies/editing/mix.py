"""``task=mix``."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from aestyle.latents.mixing import Layers, choose_layers, mix_all_pairs, to_layers
from aestyle.studies.editing.material import Material, Task, publish
from aestyle.studies.options import require_whole
from aestyle.studies.sheets import Cell, Sheet


@dataclass(frozen=True)
class Mix(Task):
    """Layer mixing, laid out as Figure 6 of AE-StyleGAN: B above, A on the left, G(A with B's layers) between.

    Args:
        layers: which layers come from B (see :data:`~aestyle.latents.mixing.Layers`); None: the last 5 of 12,
            scaled to the model's depth.
        a: number of pictures A, the rows: the first ones.
        b: number of pictures B, the columns: those after them. With fewer than a + b pictures, all are both.
    """

    layers: Layers | None = None
    a: int = 5
    b: int = 6

    def __post_init__(self) -> None:
        """Refuses numbers of pictures that cannot be."""
        require_whole("task.a", self.a, 1)
        require_whole("task.b", self.b, 1)

    @property
    def images(self) -> int:
        """A and B together."""
        return self.a + self.b

    def __call__(self, material: Material, output: Path) -> list[str]:
        """Writes ``mix.png`` and ``mix.safetensors``."""
        codes, space = to_layers(material.model, material.codes, material.space)
        layers = choose_layers(self.layers, codes.shape[1])
        enough = len(codes) >= self.a + self.b
        rows, columns = (slice(self.a), slice(self.a, self.a + self.b)) if enough else (slice(self.a), slice(self.b))
        mixed = mix_all_pairs(codes[rows], codes[columns], layers)
        rec = [Cell(image) for image in material.decode(codes, space)]
        body = [[Cell(image) for image in row] for row in material.decode(mixed, space, "mixing")]
        originals = [cell for row in material.originals() for cell in row]
        shown: list[list[Cell | None]] = [originals, list(rec)] if originals else [list(rec)]
        corner: list[Cell | None] = [None] * len(shown)
        header = [[*corner, *kind[columns]] for kind in shown]
        left = list(zip(*(kind[rows] for kind in shown), strict=True))
        side = ["picture", material.decoded][-len(shown) :]
        sheet = Sheet(
            [*header, *([*cells, *row] for cells, row in zip(left, body, strict=True))],
            title=f"layers {_ranges(layers)} of 0–{codes.shape[1] - 1} from B (above) into A (left)",
            columns=[*side, *material.names[columns]],
            rows=[*(f"B: {kind}" for kind in side), *material.names[rows]],
            row_groups=[len(shown)],
            column_groups=[len(shown)],
        )
        path = publish(sheet, output, "mix")
        saved = material.save_codes(output / "mix.safetensors", space, mixed=mixed, codes=codes)
        return [f"{mixed.shape[0]} x {mixed.shape[1]} mixtures are in {path}, their codes in {saved}"]


def _ranges(numbers: Sequence[int]) -> str:
    """``[0, 1, 2, 7]`` as ``0–2, 7``."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and parts[-1][-1] == number - 1:
            parts[-1].append(number)
        else:
            parts.append([number])
    return ", ".join(f"{part[0]}–{part[-1]}" if len(part) > 1 else str(part[0]) for part in parts) or "none"
