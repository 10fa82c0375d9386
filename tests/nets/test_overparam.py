"""Row modulation against Equation 2 to the letter, values and two derivatives, and what a network of it is."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from aestyle.errors import UserError
from aestyle.nets.convolution import differentiated_twice
from aestyle.nets.generator import Synthesis, num_layers, style_per_layer
from aestyle.nets.overparam import (
    MatrixEncoder,
    RowModulatedConv2d,
    RowSynthesis,
    RowToRGB,
    choose_rows,
)
from aestyle.nets.rows import convolve_rows_grouped, convolve_rows_one_by_one

CHANNELS = {4: 5, 8: 7, 16: 4}


@pytest.fixture(params=range(2), autouse=True)
def seed(request: pytest.FixtureRequest) -> None:
    torch.manual_seed(request.param)


def integer(low: int, high: int) -> int:
    return int(torch.randint(low, high + 1, ()))


def equation_2(x: Tensor, weight: Tensor, styles: Tensor, up: bool) -> Tensor:
    """Every pixel of every sample as sums of products, with weights ``weight_oi S_oi`` of its own."""
    (n, _, height, width), (out, channels, k, _) = x.shape, weight.shape
    images = []
    for s in range(n):
        own = torch.stack([torch.stack([weight[o, i] * styles[s, o, i] for i in range(channels)]) for o in range(out)])
        if up:
            canvas = x.new_zeros(out, 2 * height + k - 2, 2 * width + k - 2)
            for r in range(height):
                for c in range(width):
                    stamp = torch.einsum("i,oiab->oab", x[s, :, r, c], own)
                    left, above = 2 * c, 2 * r
                    margins = (left, canvas.shape[2] - left - k, above, canvas.shape[1] - above - k)
                    canvas = canvas + F.pad(stamp, margins)
        else:
            padded = F.pad(x[s], (k // 2,) * 4)
            pixels = [
                (padded[:, r : r + k, c : c + k] * own).sum((1, 2, 3)) for r in range(height) for c in range(width)
            ]
            canvas = torch.stack(pixels, dim=1).view(out, height, width)
        images.append(canvas)
    return torch.stack(images)


def two_derivatives(f: Callable[..., Tensor], leaves: list[Tensor]) -> list[Tensor]:
    """Values, gradients and gradients of a gradient norm, as a path length has."""
    y = f(*leaves)
    generator = torch.Generator().manual_seed(5)
    direction = torch.randn(y.shape, generator=generator, dtype=y.dtype)
    first = torch.autograd.grad((y.sin() * direction).sum(), leaves, create_graph=True)
    second = torch.autograd.grad(sum((g.square().sum().sqrt() for g in first), torch.zeros(())), leaves)
    return [y, *first, *second]


@pytest.mark.parametrize("form", [convolve_rows_one_by_one, convolve_rows_grouped])
@pytest.mark.parametrize(("kernel_size", "up"), [(1, False), (3, False), (3, True)])
@pytest.mark.parametrize("twice", [False, True])
def test_fast_forms_are_equation_2(form: Callable[..., Tensor], kernel_size: int, up: bool, twice: bool) -> None:
    n, channels, out = integer(1, 3), integer(1, 4), integer(1, 4)
    shapes = (
        (n, channels, integer(2, 4), integer(2, 4)),
        (out, channels, kernel_size, kernel_size),
        (n, out, channels),
    )
    leaves = [torch.randn(shape, dtype=torch.float64).requires_grad_() for shape in shapes]
    with differentiated_twice(twice):
        mine = two_derivatives(lambda *a: form(*a, up=up), leaves)
    theirs = two_derivatives(lambda *a: equation_2(*a, up=up), leaves)
    for a, b in zip(mine, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("learning", [(0,), (1,), (2,), (0, 1), (1, 2), ()])
@pytest.mark.parametrize("up", [False, True])
def test_gradients_of_some_inputs(learning: tuple[int, ...], up: bool) -> None:
    """As in an inversion, whose generator is frozen, or behind a constant."""
    n, channels, out = integer(1, 3), integer(1, 4), integer(1, 4)
    inputs = [torch.randn(shape, dtype=torch.float64) for shape in ((n, channels, 3, 4), (out, channels, 3, 3))]
    inputs.append(torch.randn(n, out, channels, dtype=torch.float64))
    leaves = [inputs[i].requires_grad_() for i in learning]
    mine, theirs = (form(*inputs, up=up) for form in (convolve_rows_one_by_one, equation_2))
    torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-9)
    assert mine.requires_grad == bool(leaves)
    if leaves:
        direction = torch.randn_like(mine)
        found, expected = (torch.autograd.grad(y, leaves, direction) for y in (mine, theirs))
        for a, b in zip(found, expected, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


def equation_2_to_rgb(layer: RowToRGB, x: Tensor, w: Tensor, count: int) -> Tensor:
    rows = [F.linear(w[:, i], layer.affine.weight * layer.affine.scale, layer.affine.bias) for i in range(count)]
    return equation_2(x, layer.weight * layer.scale, torch.stack(rows, dim=1), up=False)


@pytest.mark.parametrize("up", [False, True])
def test_layer_is_equation_2_with_demodulation(up: bool) -> None:
    n, channels, out, dim, total = integer(1, 3), integer(1, 4), integer(1, 4), integer(1, 4), 5
    layer = RowModulatedConv2d(channels, out, 3, dim, up, total=total).double()
    x = torch.randn(n, channels, 3, 4, dtype=torch.float64).requires_grad_()
    w = torch.randn(n, total, dim, dtype=torch.float64).requires_grad_()

    def literal(x: Tensor, w: Tensor) -> Tensor:
        affine = layer.affine.weight * layer.affine.scale
        styles = torch.stack([F.linear(w[:, i], affine, layer.affine.bias) for i in range(out)], dim=1) * layer.scale
        own = layer.weight * styles[..., None, None]
        norms = (own.square().sum(dim=(2, 3, 4)) + 1e-8).sqrt()
        y = equation_2(x, layer.weight, styles / norms[..., None], up)
        taps = torch.tensor([1.0, 3.0, 3.0, 1.0], dtype=torch.float64) / 4
        kernel = torch.outer(taps, taps).expand(out, 1, 4, 4)
        return F.conv2d(y, kernel, padding=1, groups=out) if up else y

    def mine(x: Tensor, w: Tensor) -> Tensor:
        y, demodulation = layer(x, w)
        return torch.mul(y, demodulation)

    for a, b in zip(two_derivatives(mine, [x, w]), two_derivatives(literal, [x, w]), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("rgb", ["own", "mean", "shared"])
def test_to_rgb_is_equation_2_without_demodulation(rgb: str) -> None:
    n, channels, total, colours = integer(1, 3), integer(1, 4), 5, 3
    layer = RowToRGB(channels, colours, 4, total=total, rgb=rgb).double()
    layer.bias.data.normal_()
    x = torch.randn(n, channels, 4, 4, dtype=torch.float64).contiguous(memory_format=torch.channels_last)
    w = torch.randn(n, total, 4, dtype=torch.float64)
    rows = {"own": w[:, :3], "mean": w.mean(1, keepdim=True).expand(-1, 3, -1), "shared": w[:, :1].expand(-1, 3, -1)}
    expected = equation_2_to_rgb(layer, x, rows[rgb], colours) + layer.bias.view(1, -1, 1, 1)
    torch.testing.assert_close(layer(x, w, None), expected, rtol=1e-9, atol=1e-9)


def test_scale_of_a_row_matters_to_rgb_only() -> None:
    n, channels, total, scale = 2, 5, 6, float(torch.rand(()) * 3 + 1.5)
    conv, rgb = RowModulatedConv2d(channels, 4, 3, 3, total=total), RowToRGB(channels, 3, 3, total=total)
    for layer in (conv, rgb):
        layer.double()
        layer.affine.bias.data.zero_()  # scaling w then scales S
    x, w = torch.randn(n, channels, 4, 4, dtype=torch.float64), torch.randn(n, total, 3, dtype=torch.float64)
    row = integer(0, 2)
    scaled = w.clone()
    scaled[:, row] *= scale
    before, after = (torch.mul(*conv(x, styles)) for styles in (w, scaled))
    torch.testing.assert_close(before, after, rtol=1e-5, atol=1e-6)
    before, after = (rgb(x, styles, None) for styles in (w, scaled))
    torch.testing.assert_close(after[:, row], before[:, row] * scale)
    others = [c for c in range(3) if c != row]
    assert torch.equal(after[:, others], before[:, others])


@pytest.mark.parametrize("which", ["first", "last", "strided"])
def test_rows_kept_are_as_many_as_channels_and_in_order(which: str) -> None:
    total = integer(3, 30)
    count = integer(1, total)
    kept = list(range(total))[choose_rows(total, count, which)]
    assert len(kept) == count
    assert kept == sorted(set(kept))
    if which != "strided":
        assert kept == (list(range(count)) if which == "first" else list(range(total - count, total)))
    with pytest.raises(UserError, match="choose one of first, last, strided"):
        choose_rows(total, count, "middle")


@pytest.mark.parametrize("options", [{}, {"keep": "last", "rgb": "mean"}, {"keep": "strided", "rgb": "shared"}])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_equal_rows_give_the_image_of_stylegan2(options: dict[str, Any], dtype: torch.dtype) -> None:
    plain, rows = Synthesis(16, 4, CHANNELS, noise=False).to(dtype), RowSynthesis(16, 4, CHANNELS, **options).to(dtype)
    rows.load_state_dict(plain.state_dict())
    ws = torch.randn(3, plain.num_ws, 4, dtype=dtype)
    with torch.no_grad():
        image, same = plain(ws), rows(ws.unsqueeze(2).expand(-1, -1, rows.rows, -1))
    assert float((image - same).abs().max()) < 1e-6 * max(1, float(image.abs().max()))


@pytest.mark.parametrize("keep", ["first", "last", "strided"])
def test_row_i_feeds_output_channel_i_of_every_layer(keep: str) -> None:
    """A changed row changes the layer's own channel and, of what the layer puts out, nothing else."""
    synthesis = RowSynthesis(16, 4, CHANNELS, keep=keep).double()
    assert synthesis.rows == 7
    ws = torch.randn(1, synthesis.num_ws, synthesis.rows, 4, dtype=torch.float64)
    for i, (layer, width) in enumerate(zip(synthesis.convs, [5, 7, 7, 4, 4], strict=True)):
        kept = list(range(synthesis.rows))[choose_rows(synthesis.rows, width, keep)]
        for row in range(synthesis.rows):
            changed = ws.clone()
            changed[:, i, row] += 1
            x = torch.randn(1, layer.conv.weight.shape[1], 4, 4, dtype=torch.float64)
            a, b = (layer(x, styles[:, i], None) for styles in (ws, changed))
            moved = [c for c in range(width) if not torch.equal(a[:, c], b[:, c])]
            assert moved == ([kept.index(row)] if row in kept else [])


def test_a_rank_without_samples_gets_no_image_and_keeps_the_graph() -> None:
    synthesis = RowSynthesis(8, 4, CHANNELS)
    ws = torch.randn(0, num_layers(8), synthesis.rows, 4, requires_grad=True)
    images = synthesis(ws)
    assert images.shape == (0, 3, 8, 8)
    (gradient,) = torch.autograd.grad(images.sum(), ws, create_graph=True)
    assert gradient.shape == ws.shape


def test_activations_stay_channels_last() -> None:
    synthesis, layouts = RowSynthesis(16, 4, {4: 8, 8: 8, 16: 8}), []
    for module in synthesis.convs:
        module.register_forward_hook(lambda m, a, y: layouts.append(y.is_contiguous(memory_format=torch.channels_last)))
    synthesis(style_per_layer(torch.randn(4, synthesis.rows, 4), synthesis.num_ws))
    assert len(layouts) == 5
    assert all(layouts)


def test_unknown_rgb_is_refused() -> None:
    with pytest.raises(UserError, match="rgb=all"):
        RowSynthesis(8, 4, CHANNELS, rgb="all")


@pytest.mark.parametrize("num_codes", [1, 3])
def test_encoded_matrices_are_a_shared_style_and_as_many_directions_as_the_rank(num_codes: int) -> None:
    rank, dim, channels = integer(1, 3), 6, {4: 8, 8: 7, 16: 5}
    encoder = MatrixEncoder(16, channels, dim, num_codes, rank=rank).double()
    codes = encoder(torch.rand(3, 3, 16, 16, dtype=torch.float64) * 2 - 1)
    assert codes.shape == (3, num_codes, 8, dim)
    assert codes.squeeze(1).shape[1:] == encoder.code_shape
    between = codes - codes[:, :, :1]
    assert (torch.linalg.matrix_rank(between, tol=1e-9) == rank).all()
    assert not torch.allclose(codes[0], codes[1])
