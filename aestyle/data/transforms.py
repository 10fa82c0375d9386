"""From a decoded picture of any kind to a square uint8 tensor, and the one bridge between uint8 and [-1, 1]."""

from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from aestyle.errors import UserError

FILTERS = {
    "lanczos": Image.Resampling.LANCZOS,
    "bicubic": Image.Resampling.BICUBIC,
    "bilinear": Image.Resampling.BILINEAR,
    "box": Image.Resampling.BOX,
}
"""Resize filters by name; all of them average over the covered area when they shrink."""

CROPS = ("center", "stretch", "none")
"""Crop policies: cut out the central square, distort to a square, or refuse pictures of another size."""

MODES = {1: "L", 3: "RGB"}
"""Pillow's mode for each number of channels."""


@dataclass(frozen=True)
class Preparation:
    """How pictures become tensors: colour policy, crop policy, size and resize filter.

    Args:
        resolution: Height and width of the result in pixels.
        channels: 1 for grey, 3 for RGB.
        crop: One of ``CROPS``.
        filter: One of ``FILTERS``.

    Raises:
        UserError: If an option has no such value.
    """

    resolution: int
    channels: int
    crop: str = "center"
    filter: str = "lanczos"

    def __post_init__(self) -> None:
        if self.resolution < 1:
            raise UserError(f"resolution={self.resolution}: must be at least 1")
        for option, value, choices in (
            ("channels", self.channels, tuple(MODES)),
            ("crop", self.crop, CROPS),
            ("filter", self.filter, tuple(FILTERS)),
        ):
            if value not in choices:
                raise UserError(f"{option}={value}: choose one of {', '.join(map(str, choices))}")

    def __call__(self, image: Image.Image, name: str = "picture") -> Tensor:
        """The picture as uint8 tensor (channels, resolution, resolution); ``name`` is for messages.

        Raises:
            UserError: If the picture has no defined conversion, or not the size that ``crop=none`` asks for.
        """
        image = to_mode(image, self.channels, name)
        return fit(image, self.resolution, self.crop, self.filter, name)


def to_mode(image: Image.Image, channels: int, name: str = "picture") -> Image.Image:
    """Convert to 8-bit grey (``channels=1``, ITU-R 601 luma) or RGB (``channels=3``).

    Transparent pictures are laid on white, which must happen before resizing so that invisible colours do not bleed
    in; 16-bit greys are scaled to 8 bits; CMYK and other colour models are converted.

    Raises:
        UserError: If the colour model has no defined conversion (such as 32-bit float); names ``name``.
    """
    if image.mode == "F":
        raise UserError(f"{name}: float pictures have no defined white; save it with 8 or 16 bits a channel")
    if image.mode.startswith("I"):
        image = _from_16_bits(image)
    try:
        if image.mode in ("LA", "PA", "RGBA", "RGBa") or "transparency" in image.info:
            image = _on_white(image)
        # By way of RGB, which every mode converts to; exact for grey.
        return image.convert("RGB").convert(MODES[channels])
    except ValueError:
        raise UserError(f"{name}: pictures of mode {image.mode} are not supported; save it as RGB") from None


def fit(
    image: Image.Image, resolution: int, crop: str = "center", filter: str = "lanczos", name: str = "picture"
) -> Tensor:
    """Crop and resize a grey or RGB picture to a square.

    Args:
        image: A picture of mode L or RGB.
        resolution: Height and width of the result in pixels.
        crop: ``center`` cuts out the central square of the shorter side and resizes it, ``stretch`` resizes without
            regard to proportions, ``none`` takes only pictures that have the size already.
        filter: One of ``FILTERS``.
        name: What the message calls the picture.

    Returns:
        uint8 tensor (C, resolution, resolution) in [0, 255].

    Raises:
        UserError: If ``crop`` is ``none`` and the size differs; names ``name``, both sizes and the fix.
    """
    width, height = image.size
    if crop == "none" and image.size != (resolution, resolution):
        raise UserError(
            f"{name}: is {width}x{height}, not {resolution}x{resolution}; "
            "use crop=center or crop=stretch, or resize the file"
        )
    if crop == "center":
        side = min(width, height)
        left, top = (width - side) // 2, (height - side) // 2
        image = image.crop((left, top, left + side, top + side))
    image = image.resize((resolution, resolution), FILTERS[filter])
    pixels = np.array(image).reshape(resolution, resolution, -1)
    return torch.from_numpy(pixels).permute(2, 0, 1).contiguous()


def to_float(images: Tensor) -> Tensor:
    """uint8 images in [0, 255] of any shape to float32 in [-1, 1]; ``to_uint8`` is its exact inverse."""
    return images.to(torch.float32, copy=True).div_(127.5).sub_(1)


def to_uint8(images: Tensor) -> Tensor:
    """Float images of any shape to uint8: [-1, 1] to [0, 255], rounded to the nearest, values outside clamped."""
    return ((images.to(torch.float32) + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)


def _from_16_bits(image: Image.Image) -> Image.Image:
    # 65535 / 257 = 255; Pillow's own conversion would clip at 255 instead.
    values = np.asarray(image).astype(np.float64).clip(0, 65535)
    return Image.fromarray(np.rint(values / 257).astype(np.uint8))


def _on_white(image: Image.Image) -> Image.Image:
    image = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
