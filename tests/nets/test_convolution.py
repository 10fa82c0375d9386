"""Convolutions differentiated twice against PyTorch's own, and the derivatives of the resampling filter."""

import random
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from aestyle.nets.convolution import conv2d, conv_transpose2d, differentiated_twice
from aestyle.nets.resample import blur, upsample2

Convolve = Callable[..., Tensor]
PASSES = [([0], [1]), ([0], [0, 1]), ([1], [0, 1]), ([0, 1], [0, 1]), ([0, 1], [1])]
"""By what a regulariser differentiates first, and by what its value is differentiated: 0 is x, 1 is the weight."""


def leaves(transposed: bool, n: int, groups: int, channels_last: bool, dtype: torch.dtype) -> list[Tensor]:
    """x (n, in, H, W) and a weight, of random sizes."""
    inside, outside, kernel = random.randint(1, 3), random.randint(1, 3), random.choice((1, 3))
    shape = (groups * inside, outside) if transposed else (groups * outside, inside)
    x = torch.randn(n, groups * inside, random.randint(3, 6), random.randint(3, 6), dtype=dtype)
    weight = torch.randn(*shape, kernel, kernel, dtype=dtype)
    order = torch.channels_last if channels_last else torch.contiguous_format
    return [t.contiguous(memory_format=order).requires_grad_() for t in (x, weight)]


def pair(transposed: bool, groups: int, stride: int) -> tuple[Convolve, Convolve]:
    """Ours and PyTorch's."""
    if transposed:
        return partial(conv_transpose2d, stride=stride, groups=groups), partial(
            F.conv_transpose2d, stride=stride, groups=groups
        )
    options = {"stride": stride, "padding": random.randrange(2), "groups": groups}
    return partial(conv2d, **options), partial(F.conv2d, **options)


def penalty_gradients(
    f: Convolve, inputs: Sequence[Tensor], first_by: Sequence[int], second_by: Sequence[int]
) -> list[Tensor]:
    """The gradients of a gradient penalty, as a regulariser takes them."""
    first = torch.autograd.grad(f(*inputs).sin().sum(), [inputs[i] for i in first_by], create_graph=True)
    penalty = sum((g.square().sum() for g in first), torch.zeros(()))
    by = [inputs[i] for i in second_by]
    return list(torch.autograd.grad(penalty, by, materialize_grads=True))  # an empty batch may have no graph


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("channels_last", [False, True])
def test_values_and_derivatives_are_pytorch_s(transposed: bool, groups: int, stride: int, channels_last: bool) -> None:
    for n in (0, 2):  # a rank's share may be empty
        inputs = leaves(transposed, n, groups, channels_last, torch.float64)
        ours, theirs = pair(transposed, groups, stride)
        with differentiated_twice():
            torch.testing.assert_close(ours(*inputs), theirs(*inputs))
            for first_by, second_by in PASSES:
                found, expected = (penalty_gradients(f, inputs, first_by, second_by) for f in (ours, theirs))
                for a, b in zip(found, expected, strict=True):
                    torch.testing.assert_close(a, b)
            if n:
                assert gradcheck(ours, inputs)
                assert gradgradcheck(ours, inputs)


def test_a_bias_is_added() -> None:
    x, weight, bias = torch.randn(2, 3, 4, 4), torch.randn(5, 3, 3, 3), torch.randn(5)
    with differentiated_twice():
        torch.testing.assert_close(conv2d(x, weight, bias), F.conv2d(x, weight, bias))


def test_a_weight_s_gradient_has_its_memory_format() -> None:
    x, weight = (
        torch.randn(4, 3, 5, 5).contiguous(memory_format=torch.channels_last).requires_grad_() for _ in range(2)
    )
    with differentiated_twice():
        (gradient,) = penalty_gradients(conv2d, [x, weight], [0], [1])
    assert gradient.is_contiguous(memory_format=torch.channels_last)


def test_outside_the_native_convolution_does() -> None:
    x, weight = torch.randn(1, 1, 4, 4, requires_grad=True), torch.randn(1, 1, 3, 3, requires_grad=True)
    for convolve in (conv2d, conv_transpose2d):
        assert "ConvolutionBackward0" in str(convolve(x, weight).grad_fn)
        with differentiated_twice():
            assert "ConvolutionBackward0" not in str(convolve(x, weight).grad_fn)
            with differentiated_twice(False):
                assert "ConvolutionBackward0" in str(convolve(x, weight).grad_fn)


def test_narrow_numbers_are_refused() -> None:
    x, weight = leaves(False, 2, 1, False, torch.float32)
    with differentiated_twice(), torch.autocast("cpu", torch.bfloat16), pytest.raises(AssertionError, match="full"):
        conv2d(x, weight)


class Convolutions(TorchDispatchMode):
    """Notes calls: what a backward one was asked for, or None."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[list[bool] | None] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if "convolution" in str(func):
            self.calls.append(args[-1][:2] if "backward" in str(func) else None)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("convolve", [partial(conv2d, padding=1), conv_transpose2d])
def test_a_regulariser_s_first_pass_leaves_out_what_it_does_not_ask_for(convolve: Convolve) -> None:
    x = torch.randn(2, 3, 6, 6, requires_grad=True)
    weights = [torch.randn(3, 3, 3, 3, requires_grad=True) for _ in range(2)]
    for wanted, asked in ((x, [True, False]), (weights[0], [False, True])):
        with Convolutions() as noted, differentiated_twice():
            torch.autograd.grad(convolve(convolve(x, weights[0]), weights[1]).sum(), wanted, create_graph=True)
        assert noted.calls == [None, None, [True, False], asked]


RESAMPLINGS = [upsample2, *(partial(blur, padding=p, stride=s) for p, s in ((1, 1), (2, 1), (1, 2)))]


@pytest.mark.parametrize("resample", RESAMPLINGS)
def test_the_filter_s_derivatives(resample: Convolve) -> None:
    x = torch.randn(2, 2, random.randint(3, 6), random.randint(3, 6), dtype=torch.float64, requires_grad=True)
    assert torch.equal(resample(x), resample(x.detach()))
    assert gradcheck(resample, x)
    assert gradgradcheck(resample, x)


@pytest.mark.parametrize("resample", RESAMPLINGS)
def test_the_filter_s_second_derivative_is_one_convolution_for_all_channels(resample: Convolve) -> None:
    x = torch.randn(2, 32, 8, 8, requires_grad=True)
    with Convolutions() as noted:
        (first,) = torch.autograd.grad(resample(x.sin()).square().sum(), x, create_graph=True)
        first.square().sum().backward()
    assert noted.calls == [None] * 4
