"""Layers against slow literal forms in float64, and their first and second derivatives against differences."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.autograd import gradcheck, gradgradcheck
from torch.func import functional_call

from aestyle.nets.convolution import differentiated_twice
from aestyle.nets.discriminator import ResidualBlock, minibatch_stddev
from aestyle.nets.generator import Mapping
from aestyle.nets.layers import EqualizedConv2d, EqualizedLinear, pixel_norm, scaled_leaky_relu
from aestyle.nets.modulation import ModulatedConv2d, StyledConv, ToRGB
from aestyle.nets.resample import blur, upsample2

from . import slow


@pytest.fixture(params=range(3), autouse=True)
def seed(request: pytest.FixtureRequest) -> Iterator[None]:
    """Every test runs on three sets of random numbers, in float64."""
    torch.manual_seed(request.param)
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def integer(low: int, high: int) -> int:
    return int(torch.randint(low, high + 1, ()))


def images(channels: int | None = None) -> Tensor:
    return torch.randn(integer(1, 4), channels or integer(1, 4), integer(3, 7), integer(3, 7))


def randomised(network: nn.Module) -> nn.Module:
    """Biases and noise strengths start at 0, where an error in them would not show."""
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn_like(parameter))
    return network


def assert_equal(actual: Tensor, expected: slow.Array) -> None:
    np.testing.assert_allclose(actual.detach().numpy(), expected, rtol=1e-10, atol=1e-11)


def check_derivatives(network: nn.Module, *inputs: Tensor) -> None:
    """First and second derivatives with respect to inputs and parameters, of both kinds of convolutions."""
    names, parameters = zip(*randomised(network).named_parameters(), strict=True)

    def call(*arguments: Tensor) -> Tensor:
        return functional_call(
            network, dict(zip(names, arguments[len(inputs) :], strict=True)), arguments[: len(inputs)]
        )

    leaves = [t.detach().clone().requires_grad_() for t in [*inputs, *parameters]]
    for twice in (False, True):
        with differentiated_twice(twice):
            assert gradcheck(call, leaves, fast_mode=True)
            assert gradgradcheck(call, leaves, fast_mode=True)


# -- resampling ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("padding", [1, 2])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("gain", [1.0, 4.0])
def test_blur_is_upfirdn(padding: int, stride: int, gain: float) -> None:
    x = images()
    expected = slow.upfirdn(x.numpy(), slow.BLUR * gain, down=stride, pad=(padding, padding))
    assert_equal(blur(x, padding, stride, gain), expected)


def test_upsample_is_upfirdn() -> None:
    x = images()
    assert_equal(upsample2(x), slow.upfirdn(x.numpy(), slow.BLUR * 4, up=2, pad=(2, 1)))


def test_resampling_keeps_a_constant_inside() -> None:
    x = torch.full((1, 2, 8, 8), float(torch.randn(())))
    for y in (upsample2(x), blur(x, 1), blur(x, 2), blur(x, 1, stride=2)):
        inside = y[:, :, 2:-2, 2:-2] if y.shape[-1] > 4 else y[:, :, 1:-1, 1:-1]
        torch.testing.assert_close(inside, x[:1, :, :1, :1].expand_as(inside))


@pytest.mark.parametrize("resample", [upsample2, lambda x: blur(x, 2), lambda x: blur(x, 1, stride=2)])
def test_resampling_derivatives(resample: Callable[[Tensor], Tensor]) -> None:
    x = torch.randn(1, 2, 4, 4, requires_grad=True)
    assert gradcheck(resample, x)
    assert gradgradcheck(resample, x)


# -- equalised layers ------------------------------------------------------------------------------------------------


def test_pixel_norm() -> None:
    x = torch.randn(integer(1, 5), integer(2, 9)) * 10 ** integer(-2, 2)
    torch.testing.assert_close(pixel_norm(x).square().mean(dim=1), torch.ones(len(x)), rtol=1e-3, atol=0)
    torch.testing.assert_close(torch.cosine_similarity(pixel_norm(x), x), torch.ones(len(x)))


def test_scaled_leaky_relu() -> None:
    x, scale = images(), float(torch.rand(()))
    bias = torch.randn(x.shape[1])
    kept = x.clone()
    assert_equal(scaled_leaky_relu(x, bias, scale), slow.lrelu(scale * x.numpy() + bias.numpy()[:, None, None]))
    assert torch.equal(x, kept), "the input was overwritten"


@pytest.mark.parametrize("activate", [False, True])
@pytest.mark.parametrize("lr_mul", [1.0, 0.01])
def test_equalized_linear(activate: bool, lr_mul: float) -> None:
    layer = randomised(EqualizedLinear(integer(1, 9), integer(1, 9), integer(0, 1), lr_mul, activate))
    x = torch.randn(integer(1, 5), layer.weight.shape[1])
    expected = slow.linear(x.numpy(), layer.weight.detach().numpy(), layer.bias.detach().numpy(), lr_mul)
    assert_equal(layer(x), slow.lrelu(expected) if activate else expected)


def test_equalized_layers_start_with_unit_variance() -> None:
    linear, conv = EqualizedLinear(600, 500, bias_init=1.0, lr_mul=0.01), EqualizedConv2d(60, 50, 3)
    assert float(linear.weight.detach().std()) == pytest.approx(100, rel=0.02)
    assert float(conv.weight.detach().std()) == pytest.approx(1, rel=0.03)
    torch.testing.assert_close(linear.bias, torch.ones(500))
    torch.testing.assert_close(conv.bias, torch.zeros(50))


@pytest.mark.parametrize("activate", [False, True])
@pytest.mark.parametrize(("kernel_size", "down"), [(1, False), (3, False), (1, True), (3, True)])
def test_equalized_conv(kernel_size: int, down: bool, activate: bool) -> None:
    x = torch.randn(integer(1, 3), integer(1, 4), 2 * integer(2, 4), 2 * integer(2, 4))
    layer = randomised(EqualizedConv2d(x.shape[1], integer(1, 4), kernel_size, down, activate))
    weight = layer.weight.detach().numpy() / np.sqrt(x.shape[1] * kernel_size**2)
    if down:
        pad = (2, 2) if kernel_size == 3 else (1, 1)
        blurred = slow.upfirdn(x.numpy(), slow.BLUR, pad=pad)
        expected = np.array([slow.conv(image, weight, padding=0, stride=2) for image in blurred])
    else:
        expected = np.array([slow.conv(image, weight, padding=kernel_size // 2) for image in x.numpy()])
    if activate:
        expected = slow.lrelu(expected + layer.bias.detach().numpy()[:, None, None])
    assert_equal(layer(x), expected)


@pytest.mark.parametrize("network", [lambda: EqualizedConv2d(2, 2, 3, down=True), lambda: ResidualBlock(2, 2)])
def test_convolution_derivatives(network: Callable[[], nn.Module]) -> None:
    check_derivatives(network(), torch.randn(1, 2, 4, 4))


def test_mapping_derivatives() -> None:
    check_derivatives(Mapping(3, depth=2), torch.randn(2, 3))


# -- style modulation ------------------------------------------------------------------------------------------------


def affine(layer: EqualizedLinear, w: Tensor) -> slow.Array:
    return slow.linear(w.numpy(), layer.weight.detach().numpy(), layer.bias.detach().numpy())


@pytest.mark.parametrize(("kernel_size", "up"), [(1, False), (3, False), (3, True)])
def test_modulated_conv_is_a_convolution_with_own_weights(kernel_size: int, up: bool) -> None:
    x, style_dim = images(), integer(2, 6)
    w = torch.randn(len(x), style_dim)
    layer = randomised(ModulatedConv2d(x.shape[1], integer(1, 4), kernel_size, style_dim, up))
    style, weight = affine(layer.affine, w), layer.weight.detach().numpy()
    y, demodulation = layer(x, w)
    assert_equal(y, slow.modulated_conv(x.numpy(), style, weight, up, demodulate=False))
    assert_equal(y * demodulation, slow.modulated_conv(x.numpy(), style, weight, up))


@pytest.mark.parametrize("up", [False, True])
@pytest.mark.parametrize("noise", ["fresh", "shared", "none"])
def test_styled_conv(up: bool, noise: str) -> None:
    x, style_dim = images(), integer(2, 6)
    w = torch.randn(len(x), style_dim)
    layer = randomised(StyledConv(x.shape[1], integer(1, 4), style_dim, up, noise=noise != "none"))
    y = slow.modulated_conv(x.numpy(), affine(layer.conv.affine, w), layer.conv.weight.detach().numpy(), up)
    given = None
    if noise != "none":
        given = torch.randn(len(x) if noise == "fresh" else 1, 1, *y.shape[2:])
        y = y + float(layer.noise_strength.detach()) * given.numpy()
    assert_equal(layer(x, w, given), slow.lrelu(y + layer.bias.detach().numpy()[:, None, None]))


def test_to_rgb() -> None:
    x, style_dim, channels = images(), integer(2, 6), integer(1, 3)
    w = torch.randn(len(x), style_dim)
    layer = randomised(ToRGB(x.shape[1], channels, style_dim))
    y = slow.modulated_conv(x.numpy(), affine(layer.affine, w), layer.weight.detach().numpy(), demodulate=False)
    y = y + layer.bias.detach().numpy()[:, None, None]
    assert_equal(layer(x, w, None), y)
    even = x[:, :, :4, :2].repeat(1, 1, 1, 2)
    before = torch.randn(len(x), channels, even.shape[2] // 2, even.shape[3] // 2)
    added = layer(even, w, before) - layer(even, w, None)
    assert_equal(added, slow.upfirdn(before.numpy(), slow.BLUR * 4, up=2, pad=(2, 1)))


@pytest.mark.parametrize("up", [False, True])
def test_styled_conv_derivatives(up: bool) -> None:
    size = 4 if up else 2
    check_derivatives(
        StyledConv(2, 2, 3, up), torch.randn(2, 2, 2, 2), torch.randn(2, 3), torch.randn(2, 1, size, size)
    )


def test_to_rgb_derivatives() -> None:
    check_derivatives(ToRGB(2, 3, 3), torch.randn(2, 2, 2, 2), torch.randn(2, 3), torch.randn(2, 3, 1, 1))


# -- minibatch standard deviation ------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 6, 8, 12])
@pytest.mark.parametrize("group_size", [2, 3, 4])
def test_minibatch_stddev(n: int, group_size: int) -> None:
    x = torch.randn(n, integer(1, 3), 2, 3)
    assert_equal(minibatch_stddev(x, group_size), slow.minibatch_stddev(x.numpy(), group_size))


def test_minibatch_stddev_of_interleaved_shards_is_that_of_the_batch() -> None:
    x, shards = torch.randn(16, 2, 3, 3), 2
    whole = minibatch_stddev(x)
    for rank in range(shards):
        assert torch.equal(minibatch_stddev(x[rank::shards]), whole[rank::shards])


def test_minibatch_stddev_derivatives() -> None:
    x = torch.randn(8, 2, 2, 1, requires_grad=True)
    assert gradcheck(minibatch_stddev, x)
    assert gradgradcheck(minibatch_stddev, x)
