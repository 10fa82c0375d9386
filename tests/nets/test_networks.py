"""Whole networks: sizes of the paper's scale, shapes, options, memory format."""

import pytest
import torch
from torch import nn

from aestyle.nets.discriminator import Discriminator, Encoder, ResidualBlock
from aestyle.nets.generator import Mapping, Synthesis, mix_styles, num_layers, style_per_layer, truncate
from aestyle.nets.modulation import StyledConv

WIDTH = 512


@pytest.fixture(params=range(2), autouse=True)
def seed(request: pytest.FixtureRequest) -> None:
    torch.manual_seed(request.param)


def paper_channels(resolution: int, multiplier: int) -> dict[int, int]:
    table = {4: 512, 8: 512, 16: 512, 32: 512, **{64 << i: (256 >> i) * multiplier for i in range(5)}}
    return {size: width for size, width in table.items() if size <= resolution}


def count(*networks: nn.Module) -> int:
    return sum(p.numel() for network in networks for p in network.parameters())


@pytest.mark.parametrize(
    ("resolution", "multiplier", "generator", "discriminator", "encoder_w", "encoder_w_plus"),
    [
        (32, 2, 21_523_475, 21_507_073, 21_764_608, 23_603_200),
        (64, 1, 23_819_544, 23_407_361, 23_664_896, 26_028_800),
        (64, 2, 27_032_600, 26_488_833, 26_746_368, 29_110_272),
        (128, 1, 24_525_213, 23_882_369, 24_139_904, 27_029_120),
        (128, 2, 29_328_669, 28_389_121, 28_646_656, 31_535_872),
        (256, 2, 30_034_338, 28_864_129, 29_121_664, 32_536_192),
    ],
)
def test_parameter_counts_of_the_paper(
    resolution: int, multiplier: int, generator: int, discriminator: int, encoder_w: int, encoder_w_plus: int
) -> None:
    channels = paper_channels(resolution, multiplier)
    with torch.device("meta"):
        assert count(Mapping(WIDTH)) == 2_101_248
        assert count(Mapping(WIDTH), Synthesis(resolution, WIDTH, channels)) == generator
        assert count(Discriminator(resolution, channels)) == discriminator
        assert count(Encoder(resolution, channels, WIDTH, 1)) == encoder_w
        assert count(Encoder(resolution, channels, WIDTH, num_layers(resolution))) == encoder_w_plus


@pytest.mark.parametrize("resolution", [8, 16, 32])
@pytest.mark.parametrize("image_channels", [1, 3])
@pytest.mark.parametrize("option", [True, False])
def test_shapes(resolution: int, image_channels: int, option: bool) -> None:
    widths = torch.randint(1, 9, (4,)).tolist()
    channels = dict(zip((4, 8, 16, 32), widths, strict=True))
    n, style_dim, layers = int(torch.randint(1, 6, ())), 5, num_layers(resolution)
    synthesis = Synthesis(resolution, style_dim, channels, image_channels, noise=option)
    images = synthesis(torch.randn(n, layers, style_dim))
    assert images.shape == (n, image_channels, resolution, resolution)
    assert synthesis.num_ws == layers
    discriminator = Discriminator(resolution, channels, image_channels, residual=option)
    assert discriminator(images).shape == (n, 1)
    for codes in (1, layers):
        encoder = Encoder(resolution, channels, style_dim, codes, image_channels, residual=option)
        assert encoder(images).shape == (n, codes, style_dim)


def test_encoder_looks_at_each_image_alone() -> None:
    encoder = Encoder(8, {4: 6, 8: 4}, 5, 1).double()
    x = torch.randn(7, 3, 8, 8, dtype=torch.float64)
    torch.testing.assert_close(encoder(x)[2:5], encoder(x[2:5]))


@pytest.mark.parametrize("resolution", [4, 12, 33])
def test_odd_resolutions_are_refused(resolution: int) -> None:
    with pytest.raises(ValueError, match=f"resolution={resolution}"):
        num_layers(resolution)


def test_style_i_feeds_convolution_i_and_the_to_rgb_before_it() -> None:
    """A style reaches only its own layers and what follows: earlier ones keep their value."""
    synthesis = Synthesis(16, 4, {4: 5, 8: 6, 16: 7})
    ws, seen = torch.randn(2, synthesis.num_ws, 4), []
    handles = [m.register_forward_pre_hook(lambda _, args: seen.append(args[1])) for m in synthesis.convs]
    handles += [m.register_forward_pre_hook(lambda _, args: seen.append(args[1])) for m in synthesis.to_rgbs]
    synthesis(ws)
    order = [next(i for i in range(synthesis.num_ws) if torch.equal(w, ws[:, i])) for w in seen]
    assert order == [0, 1, 1, 2, 3, 3, 4, 5]


@pytest.mark.parametrize("build", ["synthesis", "discriminator"])
def test_results_do_not_depend_on_the_memory_format(build: str) -> None:
    channels = {4: 6, 8: 5, 16: 4}
    network: nn.Module = Synthesis(16, 4, channels) if build == "synthesis" else Discriminator(16, channels)
    network = network.double()
    x = torch.randn(4, 6, 4) if build == "synthesis" else torch.randn(4, 3, 16, 16)
    x = x.double()
    expected = network(x)
    plain = network.to(memory_format=torch.contiguous_format)
    torch.testing.assert_close(plain(x), expected)


@pytest.mark.parametrize("build", ["synthesis", "discriminator"])
def test_activations_stay_channels_last(build: str) -> None:
    channels = {4: 8, 8: 8, 16: 8}
    network: nn.Module = Synthesis(16, 4, channels) if build == "synthesis" else Discriminator(16, channels)
    layouts: list[bool] = []
    for module in network.modules():
        if isinstance(module, (StyledConv, ResidualBlock)):
            module.register_forward_hook(
                lambda _m, _a, y: layouts.append(y.is_contiguous(memory_format=torch.channels_last))
            )
    network(torch.randn(4, 6, 4) if build == "synthesis" else torch.randn(4, 3, 16, 16))
    assert layouts
    assert all(layouts)


def test_style_helpers() -> None:
    n, layers, dim = (int(torch.randint(2, 6, ())) for _ in range(3))
    first, second = (style_per_layer(torch.randn(n, dim), layers) for _ in range(2))
    crossover = int(torch.randint(0, layers + 1, ()))
    mixed = mix_styles(first, second, crossover)
    for i in range(layers):
        assert torch.equal(mixed[:, i], (first if i < crossover else second)[:, i])
    mean = torch.randn(1, dim)
    torch.testing.assert_close(truncate(first, mean, 1.0), first)
    torch.testing.assert_close(truncate(first, mean, 0.0), mean.expand_as(first))
    torch.testing.assert_close(truncate(first, mean, 0.5), (first + mean) / 2)
