"""Pictures for the tests of this room."""

from pathlib import Path

import numpy as np
from PIL import Image

from aestyle.data.sources import NamedPictures


def random_picture(width: int, height: int, mode: str = "RGB", seed: int | None = None) -> Image.Image:
    bands = len(Image.new(mode, (1, 1)).getbands())
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, bands), dtype=np.uint8)
    return Image.merge(mode, [Image.fromarray(pixels[..., band]) for band in range(bands)])


def write_folder(folder: Path, names: list[str], size: tuple[int, int] = (12, 10)) -> Path:
    for seed, name in enumerate(names):
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        random_picture(*size, seed=seed).save(file)
    return folder


class Listed(NamedPictures):
    """Names, labels and random pictures in memory."""

    def __init__(self, keys: list[str], labels: list[int] | None = None, mode: str = "RGB") -> None:
        super().__init__("listed", keys, labels)
        self._mode = mode

    def read(self, index: int) -> bytes:
        return self.load(index).tobytes()

    def load(self, index: int) -> Image.Image:
        return random_picture(11, 9, self._mode, seed=index)
