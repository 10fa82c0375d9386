"""Convolutions with their own second derivative, and the filter that is its adjoint's adjoint."""

import random
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from aestyle.nets.convolution import conv2d, conv_transpose2d, differentiated_twice
from aestyle.nets.resample import blur, upsample2


def pair(transposed: bool) -> tuple[Callable[..., Tensor], Callable[..., Tensor], tuple[Tensor, ...]]:
    """Ours, PyTorch's, and their inputs, of random sizes and options, in float64."""
    n, groups, inside, outside = random.randrange(3), random.choice((1, 2)), random.randint(1, 3), random.randint(1, 3)
    kernel, stride, padding = random.choice((1, 3)), random.choice((1, 2)), random.randrange(2)
    size = [random.randint(3, 6) for _ in range(2)]
    x = torch.randn(n, groups * inside, *size, dtype=torch.float64, requires_grad=True)
    shape = (groups * inside, outside) if transposed else (groups * outside, inside)
    weight = torch.randn(*shape, kernel, kernel, dtype=torch.float64, requires_grad=True)
    if transposed:
        options = {"stride": stride, "groups": groups}
        return (
            lambda x, w: conv_transpose2d(x, w, **options),
            lambda x, w: F.conv_transpose2d(x, w, None, **options),
            (x, weight),
        )
    bias = torch.randn(groups * outside, dtype=torch.float64, requires_grad=True)
    chosen = (stride, padding)
    return (
        lambda x, w, b: conv2d(x, w, b, *chosen, groups=groups),
        lambda x, w, b: F.conv2d(x, w, b, *chosen, groups=groups),
        (x, weight, bias),
    )


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("attempt", range(4))
def test_values_and_derivatives_are_pytorch_s(transposed: bool, attempt: int) -> None:
    ours, theirs, inputs = pair(transposed)
    with differentiated_twice():
        assert torch.allclose(ours(*inputs), theirs(*inputs))
        for wanted in ([0], [1], [0, 1]):  # what else there is takes no gradient
            some = tuple(x.detach().requires_grad_(i in wanted) for i, x in enumerate(inputs))
            found, expected = (penalty_gradients(f, some, wanted) for f in (ours, theirs))
            assert all(torch.allclose(a, b) for a, b in zip(found, expected, strict=True))
        if len(inputs[0]):
            assert gradcheck(ours, inputs)
            assert gradgradcheck(ours, inputs)


def penalty_gradients(f: Callable[..., Tensor], inputs: tuple[Tensor, ...], wanted: list[int]) -> list[Tensor]:
    """Gradients of a gradient penalty, as a regulariser takes them."""
    chosen = [inputs[i] for i in wanted]
    first = torch.autograd.grad(f(*inputs).sin().sum(), chosen, create_graph=True)
    penalty = sum((g.square().sum() for g in first), torch.zeros(()))
    return list(torch.autograd.grad(penalty, chosen, materialize_grads=True))  # an empty batch has no graph


def test_outside_the_native_convolution_does() -> None:
    x, weight = torch.randn(1, 1, 4, 4, requires_grad=True), torch.randn(1, 1, 3, 3, requires_grad=True)
    assert "ConvolutionBackward0" in str(conv2d(x, weight).grad_fn)
    assert "ConvolutionBackward0" in str(conv_transpose2d(x, weight).grad_fn)
    with differentiated_twice():
        assert "ConvolutionBackward0" not in str(conv2d(x, weight).grad_fn)


@pytest.mark.parametrize(
    "resample", [upsample2, *(lambda x, p=p, s=s: blur(x, p, s) for p, s in ((1, 1), (2, 1), (1, 2)))]
)
def test_the_filter_s_derivatives(resample: Callable[[Tensor], Tensor]) -> None:
    x = torch.randn(2, 2, random.randint(3, 6), random.randint(3, 6), dtype=torch.float64, requires_grad=True)
    assert torch.equal(resample(x), resample(x.detach()))
    assert gradcheck(resample, x)
    assert gradgradcheck(resample, x)


class Convolutions(TorchDispatchMode):
    """Counts calls."""

    calls = 0

    def __torch_dispatch__(
        self, func: Callable[..., Tensor], types: object, args: tuple[object, ...] = (), kwargs: object = None
    ) -> Tensor:
        self.calls += "convolution" in str(func)
        return func(*args)


def test_the_filter_s_second_derivative_is_one_convolution_for_all_channels() -> None:
    x = torch.randn(2, 32, 8, 8, requires_grad=True)
    with Convolutions() as counted:
        (first,) = torch.autograd.grad(blur(x.sin(), padding=1).square().sum(), x, create_graph=True)
        first.square().sum().backward()
    assert counted.calls < 10
