"""The transformations of adaptive discriminator augmentation: the "bgc" pipe of Karras et al. (2020), appendix B.

Pixel blits, general geometry and colour, without filtering, noise and cutout. Each transformation is applied to each
image with probability p, independently; its strength is drawn per image. All geometry of an image is one affine warp,
all colour one affine map.

Three faults of the PyTorch code that AE-StyleGAN is built on are mended: quarter turns are drawn from all of 0, 1, 2
and 3 (there 0 and 3 only); translations are fractions of the image (there pixels: at most an eighth of one, which is
as good as none); and they are drawn for x and y separately (there both are the same number).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce

import torch
from torch import Tensor

from aestyle.engine.draws import Draws
from aestyle.engine.warp import warp

COINS = (
    *("flip", "quarter_turn", "shift", "scale", "turn", "stretch", "second_turn", "drift"),
    *("brightness", "contrast", "luma_flip", "hue", "saturation"),
)
"""The transformations in the order in which they are applied; each has one coin per image."""

UNIFORMS = ("flip", "quarter_turn", "shift_x", "shift_y", "turn", "second_turn", "luma_flip", "hue")
NORMALS = ("scale", "stretch", "drift_x", "drift_y", "brightness", "contrast", "saturation")

SHIFT = 0.125
"""Whole-pixel shifts are uniform up to this fraction of the image; fractional ones (drift) have it as deviation."""
SCALE = 0.2
"""Deviation of log2 of the scale, and of the stretch along x, of which the inverse acts along y."""
BRIGHTNESS, CONTRAST, SATURATION = 0.2, 0.5, 1.0
"""Deviations of the brightness added (images span [-1, 1]) and of log2 of contrast and saturation."""


@dataclass(frozen=True)
class Strengths:
    """What is drawn for a batch: for each name of COINS, UNIFORMS, NORMALS a number per image, (N,).

    Args:
        p: probability of each transformation.
        coins: U[0, 1); a transformation is applied where its coin is below its probability.
        uniform: U[0, 1).
        normal: N(0, 1).
    """

    p: float
    coins: dict[str, Tensor]
    uniform: dict[str, Tensor]
    normal: dict[str, Tensor]

    @classmethod
    def draw(cls, count: int, p: float, draws: Draws, name: str) -> "Strengths":
        """Strengths of ``count`` images, from draws keyed by ``name`` and the images' positions in the run."""
        coins = draws.uniforms(f"augment/{name}/coins", (len(COINS),), count)
        uniform = draws.uniforms(f"augment/{name}/uniform", (len(UNIFORMS),), count)
        normal = draws.normal(f"augment/{name}/normal", (len(NORMALS),), count)
        return cls(p, *(dict(zip(names, values.unbind(1), strict=True))
                        for names, values in ((COINS, coins), (UNIFORMS, uniform), (NORMALS, normal))))  # fmt: skip

    def where(self, transformation: str, strength: Tensor, p: float | None = None) -> Tensor:
        """``strength`` in the images that get this transformation, 0 in the others."""
        return torch.where(self.coins[transformation] < (self.p if p is None else p), strength, 0.0)

    def sign(self, transformation: str) -> Tensor:
        """-1 in half of the images that get this transformation, 1 in the others."""
        return 1 - 2 * self.where(transformation, (2 * self.uniform[transformation]).floor())

    def factor(self, transformation: str, deviation: float) -> Tensor:
        """``2 ** (deviation * N(0, 1))`` in the images that get this transformation, 1 in the others."""
        return torch.exp2(self.where(transformation, deviation * self.normal[transformation]))


def augment(images: Tensor, p: float, draws: Draws, name: str) -> Tensor:
    """Puts images through the pipe.

    Args:
        images: (N, C, H, W) in [-1, 1], C either 1 or 3; a single channel gets no hue and no saturation.
        p: probability of each transformation; at 0 the result is ``images`` itself.
        draws: where coins and strengths come from.
        name: keys them.

    Returns:
        (N, C, H, W), not clamped, differentiable twice; images that no coin struck are the same bits.
    """
    if p <= 0:
        return images
    with torch.autocast(images.device.type, enabled=False):
        strengths = Strengths.draw(len(images), p, draws, name)
        inverse = geometry(strengths, *images.shape[2:])
        images = _change(images.to(inverse), inverse, torch.eye(3), warp)
        return _change(images, colour(strengths, images.shape[1]), torch.eye(images.shape[1], 4), recolour)


def geometry(s: Strengths, height: int, width: int) -> Tensor:
    """Where each position of the result comes from: (N, 3, 3), in pixels from the centre, x right and y down.

    The two rotations have probability ``1 - sqrt(1 - p)`` each, so that one of them at least happens with p.
    """
    p_turn = 1 - math.sqrt(1 - s.p)
    quarter = s.where("quarter_turn", (4 * s.uniform["quarter_turn"]).floor()) * (math.pi / 2)
    shifts = [(s.where("shift", (2 * s.uniform[f"shift_{axis}"] - 1) * SHIFT) * size).round()
              for axis, size in (("x", width), ("y", height))]  # fmt: skip
    drifts = [
        s.where("drift", s.normal[f"drift_{axis}"] * SHIFT) * size for axis, size in (("x", width), ("y", height))
    ]
    turns = [s.where(name, (2 * s.uniform[name] - 1) * math.pi, p_turn) for name in ("turn", "second_turn")]
    scale, stretch = s.factor("scale", SCALE), s.factor("stretch", SCALE)
    undo = [  # the inverse of each, in the order in which they are applied
        _scaling(s.sign("flip"), 1.0),
        _rotation(-quarter),
        _translation(-shifts[0], -shifts[1]),
        _scaling(1 / scale, 1 / scale),
        _rotation(-turns[0]),
        _scaling(1 / stretch, stretch),
        _rotation(-turns[1]),
        _translation(-drifts[0], -drifts[1]),
    ]
    return reduce(torch.matmul, undo)


def colour(s: Strengths, channels: int) -> Tensor:
    """The affine map of colours: (N, channels, 4), its last column added; (N, 1, 4) with zeros for grey images.

    Brightness, contrast, and a reflection of the luma axis (1, 1, 1); then a rotation about it (hue) and a scaling
    away from it (saturation), which have no meaning for grey.
    """
    brightness = s.where("brightness", BRIGHTNESS * s.normal["brightness"])
    contrast, luma_sign = s.factor("contrast", CONTRAST), s.sign("luma_flip")
    if channels == 1:
        gain = contrast * luma_sign
        return _matrices([gain, 0.0, 0.0, gain * brightness])
    hue, saturation = s.where("hue", (2 * s.uniform["hue"] - 1) * math.pi), s.factor("saturation", SATURATION)
    identity, luma = torch.eye(3).to(hue), hue.new_full((3, 3), 1 / 3)
    cross = hue.new_tensor([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / math.sqrt(3)
    gain, luma_sign, hue, saturation = (x[:, None, None] for x in (contrast, luma_sign, hue, saturation))
    reflection = identity + (luma_sign - 1) * luma
    rotation = hue.cos() * identity + (1 - hue.cos()) * luma + hue.sin() * cross  # Rodrigues' formula
    fading = saturation * identity + (1 - saturation) * luma
    linear = fading @ rotation @ reflection * gain
    return torch.cat([linear, linear.sum(dim=2, keepdim=True) * brightness[:, None, None]], dim=2)


def recolour(images: Tensor, matrix: Tensor) -> Tensor:
    """Applies (N, C, 4) colour maps to images (N, C, H, W)."""
    c = images.shape[1]
    return (matrix[:, :, :c] @ images.flatten(2) + matrix[:, :, 3:]).view_as(images)


def _change(images: Tensor, matrix: Tensor, neutral: Tensor, apply: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """Applies each image's matrix where it is not the neutral one; the other images stay as they are."""
    changed = (matrix != neutral.to(matrix)).flatten(1).any(dim=1).nonzero()[:, 0]
    if len(changed) == 0:
        return images
    return images.index_copy(0, changed, apply(images[changed], matrix[changed]))


def _matrices(*rows: list[Tensor | float]) -> Tensor:
    """(N, rows, columns) from entries that are (N,) or the same for all images."""
    like = next(entry for row in rows for entry in row if isinstance(entry, Tensor))
    full = [[e if isinstance(e, Tensor) else torch.full_like(like, e) for e in row] for row in rows]
    return torch.stack([torch.stack(row, dim=1) for row in full], dim=1)


def _scaling(x: Tensor, y: Tensor | float) -> Tensor:
    return _matrices([x, 0.0, 0.0], [0.0, y, 0.0], [0.0, 0.0, 1.0])


def _rotation(angle: Tensor) -> Tensor:
    """From the x axis (right) toward the y axis (down)."""
    return _matrices([angle.cos(), -angle.sin(), 0.0], [angle.sin(), angle.cos(), 0.0], [0.0, 0.0, 1.0])


def _translation(x: Tensor, y: Tensor) -> Tensor:
    return _matrices([1.0, 0.0, x], [0.0, 1.0, y], [0.0, 0.0, 1.0])
