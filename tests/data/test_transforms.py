from functools import reduce
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from aestyle.data.sources import decode
from aestyle.data.transforms import CROPS, FILTERS, Preparation, fit, to_float, to_mode, to_uint8
from aestyle.errors import UserError

from .pictures import random_picture

RNG = np.random.default_rng()


def tensor(image: Image.Image) -> torch.Tensor:
    pixels = np.array(image)
    return torch.from_numpy(pixels.reshape(*pixels.shape[:2], -1)).permute(2, 0, 1)


def test_uint8_adapter_rounds_and_clamps_like_numpy() -> None:
    values = RNG.normal(0, 1.5, (3, 5, 7)).astype(np.float32)
    expected = np.clip(np.rint((values + 1) * np.float32(127.5)), 0, 255).astype(np.uint8)
    assert np.array_equal(to_uint8(torch.from_numpy(values)).numpy(), expected)
    assert to_uint8(torch.tensor([-9.0, -1.01, -1, 1, 1.01, 9])).tolist() == [0, 0, 0, 255, 255, 255]


def test_uint8_adapter_is_exact_there_and_back() -> None:
    levels = torch.arange(256, dtype=torch.uint8)
    floats = to_float(levels)
    assert floats.dtype == torch.float32
    assert (floats.min(), floats.max()) == (-1, 1)
    assert torch.equal(to_uint8(floats), levels)
    assert torch.equal(to_uint8(floats.double()), levels)


def test_grey_and_rgb_convert_into_each_other() -> None:
    grey = random_picture(7, 5, "L")
    rgb = to_mode(grey, 3)
    assert torch.equal(tensor(rgb), tensor(grey).expand(3, -1, -1))
    assert torch.equal(tensor(to_mode(rgb, 1)), tensor(grey))
    colour = random_picture(7, 5)
    luma = np.asarray(colour).astype(float) @ [0.299, 0.587, 0.114]
    assert np.abs(np.asarray(to_mode(colour, 1)) - luma).max() <= 1


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
@pytest.mark.parametrize("channels", [1, 3])
def test_transparency_is_laid_on_white(mode: str, channels: int) -> None:
    picture = random_picture(9, 8, mode)
    alpha = np.asarray(picture.getchannel("A"), dtype=float)[..., None] / 255
    opaque = np.asarray(picture.convert("RGBA").convert("RGB"), dtype=float)
    expected = opaque * alpha + 255 * (1 - alpha)
    expected = expected @ [[0.299], [0.587], [0.114]] if channels == 1 else expected
    result = tensor(to_mode(picture, channels)).permute(1, 2, 0).numpy()
    assert result.shape[-1] == channels
    assert np.abs(result - expected).max() <= 1.5


def test_invisible_colours_do_not_bleed_in_when_resizing() -> None:
    picture = Image.new("RGBA", (16, 16), (255, 0, 0, 0))
    assert Preparation(4, 3)(picture).eq(255).all()


def test_palettes_keep_their_colours_and_transparency(tmp_path: Path) -> None:
    picture = random_picture(8, 8).quantize(16)
    assert torch.equal(tensor(to_mode(picture, 3)), tensor(picture.convert("RGB")))
    file = tmp_path / "palette.png"
    picture.save(file, transparency=int(picture.getpixel((3, 4))))
    result = tensor(to_mode(decode(file), 3))
    assert result[:, 4, 3].tolist() == [255, 255, 255]
    visible = torch.from_numpy(np.array(picture)) != picture.getpixel((3, 4))
    assert torch.equal(result[:, visible], tensor(picture.convert("RGB"))[:, visible])


@pytest.mark.parametrize("suffix", [".png", ".tif", ".pgm"])
@pytest.mark.parametrize("channels", [1, 3])
def test_16_bit_greys_are_scaled(tmp_path: Path, suffix: str, channels: int) -> None:
    values = RNG.integers(0, 65536, (6, 5), dtype=np.uint16)
    values[0, :2] = 0, 65535
    file = tmp_path / f"deep{suffix}"
    Image.fromarray(values).save(file)
    result = tensor(to_mode(decode(file), channels)).numpy()
    assert result.shape[0] == channels
    assert np.array_equal(result[-1], np.rint(values / 257).astype(np.uint8))


@pytest.mark.parametrize("mode", ["CMYK", "YCbCr", "HSV", "LAB", "1", "P", "PA", "RGBa", "RGBX"])
def test_other_colour_models_are_converted(mode: str) -> None:
    white = Image.new("RGB", (4, 4), "white")
    steps = {"PA": ["P", "PA"], "RGBa": ["RGBA", "RGBa"]}.get(mode, [mode])
    picture = reduce(Image.Image.convert, steps, white)
    assert Preparation(4, 3)(picture).ge(254).all()
    assert Preparation(4, 1)(picture).ge(254).all()


def test_cmyk_jpeg_keeps_its_colours(tmp_path: Path) -> None:
    file = tmp_path / "print.jpg"
    Image.new("RGB", (16, 16), (200, 40, 90)).convert("CMYK").save(file, quality=95)
    difference = tensor(to_mode(decode(file), 3)).float() - torch.tensor([200.0, 40, 90]).view(3, 1, 1)
    assert difference.abs().max() <= 4


def test_float_pictures_are_refused_by_name() -> None:
    with pytest.raises(UserError, match=r"odd\.tif: float pictures .*; save it with 8 or 16 bits"):
        to_mode(Image.new("F", (4, 4)), 3, "odd.tif")


@pytest.mark.parametrize("size", [(20, 12), (12, 20), (13, 12), (12, 12)])
def test_center_keeps_the_central_square(size: tuple[int, int]) -> None:
    picture = random_picture(*size)
    pixels = tensor(picture)
    left, top = (size[0] - 12) // 2, (size[1] - 12) // 2
    assert torch.equal(fit(picture, 12), pixels[:, top : top + 12, left : left + 12])


@pytest.mark.parametrize("filter", FILTERS)
@pytest.mark.parametrize("crop", [crop for crop in CROPS if crop != "none"])
def test_any_size_becomes_the_asked_one(filter: str, crop: str) -> None:
    for channels in (1, 3):
        width, height, side = (int(n) for n in RNG.integers(1, 60, 3))
        image = Preparation(side, channels, crop, filter)(random_picture(width, height))
        assert image.shape == (channels, side, side)
        assert image.dtype == torch.uint8
        assert image.is_contiguous()


def test_stretch_shows_the_whole_picture_and_box_averages() -> None:
    pixels = RNG.integers(0, 256, (8, 4), dtype=np.uint8)
    expected = pixels.reshape(4, 2, 4, 1).mean((1, 3))
    result = fit(Image.fromarray(pixels), 4, "stretch", "box")[0].numpy()
    assert np.abs(result - expected).max() <= 1


def test_none_takes_only_pictures_of_the_size() -> None:
    picture = random_picture(8, 8)
    assert torch.equal(fit(picture, 8, "none"), tensor(picture))
    with pytest.raises(UserError, match=r"a/b\.png: is 8x6, not 8x8; use crop=center or crop=stretch"):
        fit(random_picture(8, 6), 8, "none", name="a/b.png")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"crop": "middle"}, "crop=middle: choose one of center, stretch, none"),
        ({"filter": "nearest"}, "filter=nearest: choose one of lanczos"),
        ({"channels": 4}, "channels=4: choose one of 1, 3"),
        ({"resolution": 0}, "resolution=0"),
    ],
)
def test_unknown_options_are_refused(options: dict, says: str) -> None:
    with pytest.raises(UserError, match=says):
        Preparation(**({"resolution": 8, "channels": 3} | options))
