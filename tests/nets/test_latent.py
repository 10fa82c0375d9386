"""The discriminator of codes against plain matrix products."""

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

from aestyle.nets.latent import LatentDiscriminator
from tests.nets import slow


@pytest.fixture(params=range(3), autouse=True)
def seed(request: pytest.FixtureRequest) -> None:
    torch.manual_seed(request.param)


def integer(low: int, high: int) -> int:
    return int(torch.randint(low, high + 1, ()))


def randomised(network: LatentDiscriminator) -> LatentDiscriminator:
    """In float64, with biases that count."""
    for name, p in network.named_parameters():
        if name.endswith("bias"):
            p.data = torch.randn_like(p) * 3
    return network.double()


@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("activate_last", [False, True])
def test_logits_are_those_of_matrix_products(activate_last: bool, normalize: bool) -> None:
    dim, num_codes, width, depth = integer(1, 6), integer(1, 4), integer(1, 9), integer(1, 5)
    lr_mul = float(0.05 + torch.rand(()))
    network = randomised(LatentDiscriminator(dim, num_codes, width, depth, lr_mul, activate_last, normalize))
    codes = torch.randn(integer(1, 7), num_codes, dim, dtype=torch.float64) * 3
    x = codes.numpy().reshape(len(codes), num_codes * dim)
    if normalize:
        x = x / np.sqrt((x**2).mean(axis=1, keepdims=True) + 1e-8)
    weights = [p.detach().numpy() for name, p in network.named_parameters() if name.endswith("weight")]
    biases = [p.detach().numpy() for name, p in network.named_parameters() if name.endswith("bias")]
    widths = [num_codes * dim, *[width] * (depth - 1), 1]
    assert [w.shape for w in weights] == list(zip(widths[1:], widths[:-1], strict=True))
    for i, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        x = slow.linear(x, weight, bias, lr_mul)
        x = slow.lrelu(x) if i < depth - 1 or activate_last else x
    np.testing.assert_allclose(network(codes).detach().numpy(), x, rtol=1e-10, atol=1e-12)
    assert torch.equal(network(codes.flatten(1)), network(codes))


def test_codes_are_left_alone() -> None:
    network, codes = randomised(LatentDiscriminator(3, width=4, activate_last=True)), torch.randn(5, 3).double()
    kept = codes.clone()
    network(codes)
    assert torch.equal(codes, kept)


def test_defaults_are_the_reference_sizes() -> None:
    """Those of AE-StyleGAN's ALAE: three equalised linear layers of width 512 at a tenth of the rate, one output."""
    with torch.device("meta"):
        layers = list(LatentDiscriminator(512))
    assert [tuple(layer.weight.shape) for layer in layers] == [(512, 512), (512, 512), (1, 512)]
    assert [layer.lr_mul for layer in layers] == [0.1] * 3
    assert [layer.activate for layer in layers] == [True, True, False]


@pytest.mark.parametrize("normalize", [False, True])
def test_derivatives(normalize: bool) -> None:
    """Twice: R1 looks through it at the image."""
    network = randomised(LatentDiscriminator(2, 2, width=3, activate_last=True, normalize=normalize))
    codes = torch.randn(2, 2, 2, dtype=torch.float64, requires_grad=True)
    assert gradcheck(network, codes)
    assert gradgradcheck(network, codes)
