"""Networks of adversarial autoencoders: shapes, sizes of the paper, and what an option changes."""

import pytest
import torch
from torch import nn

from aestyle.errors import UserError
from aestyle.nets.aae import CodeDiscriminator, Decoder, Encoder
from aestyle.nets.aae_conv import ConvDecoder, ConvEncoder, FeatureDiscriminator
from aestyle.nets.aae_layers import Equal, Layers, Plain
from aestyle.nets.posterior import Exponential, Fixed, Floor, Linear, Posterior, Softplus

CHANNELS = {4: 6, 8: 5, 16: 4, 32: 3, 64: 2}


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize(("resolution", "encoder", "decoder"), [(32, 403_028, 405_568), (64, 1_582_676, 1_594_432)])
def test_sizes_of_the_paper(resolution: int, encoder: int, decoder: int) -> None:
    assert count(Encoder(resolution)) == encoder
    assert count(Decoder(resolution)) == decoder
    assert count(CodeDiscriminator()) == 33_857


@pytest.mark.parametrize("layers", [Plain(), Equal(), Equal(keep_norm=True)])
@pytest.mark.parametrize("resolution", [8, 16, 32, 64])
def test_shapes(resolution: int, layers: Layers) -> None:
    x = torch.rand(2, 1, resolution, resolution) * 2 - 1
    pairs = [
        (Encoder(resolution, 1, 7, layers), Decoder(resolution, 1, 7, layers, mapping_depth=2)),
        (ConvEncoder(resolution, CHANNELS, 1, 7, layers), ConvDecoder(resolution, CHANNELS, 1, 7, layers)),
    ]
    for encoder, decoder in pairs:
        posterior = encoder(x)
        assert posterior.mu.shape == posterior.sigma.shape == (2, 7)
        rec = decoder(posterior.mu)
        assert rec.shape == x.shape
        assert rec.abs().max() <= 1
    logits, features = FeatureDiscriminator(resolution, CHANNELS, 1, layers)(x)
    assert logits.shape == (2, 1)
    assert features.shape == (2, 6, 4, 4)


def test_mapping_leaves_the_start_of_the_rest_alone() -> None:
    """Same seed, same weights behind the mapping: a variant changes its part only."""
    decoders = []
    for depth in (0, 3):
        torch.manual_seed(1)
        decoders.append(Decoder(8, 3, 10, mapping_depth=depth))
    plain, mapped = decoders
    assert all(torch.equal(value, mapped.body.state_dict()[key]) for key, value in plain.body.state_dict().items())
    assert count(mapped) - count(plain) == 3 * 110
    z = torch.randn(5, 10)
    assert torch.equal(mapped(z), plain(mapped.mapping(z)))


def test_equal_layers_have_no_batch_statistics() -> None:
    """An image is mapped alike in any company."""
    for encoder in (Encoder(8, layers=Equal()), ConvEncoder(8, CHANNELS, layers=Equal())):
        x = torch.randn(6, 3, 8, 8)
        torch.testing.assert_close(encoder(x).mu[:2], encoder(x[:2]).mu)
        assert not list(encoder.buffers())
    plain = Encoder(8)
    assert not torch.allclose(plain(x).mu[:2], plain(x[:2]).mu, atol=1e-3)


def test_dropout_leaves_out_what_the_mask_says() -> None:
    discriminator = CodeDiscriminator(4, dropout=0.5, widths=(3, 2))
    z = torch.randn(6, 4)
    everything = torch.ones(6, 5, dtype=torch.bool)
    nothing = discriminator(z, ~everything)
    torch.testing.assert_close(nothing, discriminator.head.bias.expand(6, 1))
    doubled = CodeDiscriminator(4, dropout=0.0, widths=(3, 2))
    doubled.load_state_dict(discriminator.state_dict())
    for layer in (doubled.hidden[1], doubled.head):
        layer.weight.data *= 2  # what is kept counts 1 / (1 - dropout)
    torch.testing.assert_close(discriminator(z, everything), doubled(z))
    assert torch.equal(doubled(z, everything), doubled(z))


@pytest.mark.parametrize("dropout", [-0.1, 1.0, float("nan")])
def test_impossible_dropout_is_refused(dropout: float) -> None:
    with pytest.raises(UserError, match=r"method\.discriminator\.dropout="):
        CodeDiscriminator(dropout=dropout)


def test_forms_of_sigma() -> None:
    raw = torch.randn(100, 3, dtype=torch.float64, requires_grad=True)
    assert torch.equal(Linear()(raw), raw)
    assert (Softplus()(raw) > 0).all()
    torch.testing.assert_close(Exponential()(raw).square().log(), raw)
    floor = Floor(0.3)
    assert (floor(raw) >= 0.3).all()
    torch.testing.assert_close(floor(raw.new_tensor([0.0, 4.0, -4.0])), raw.new_tensor([0.3, 16.09**0.5, 16.09**0.5]))
    assert torch.equal(Fixed(0.2)(raw), torch.full_like(raw, 0.2))
    for form in (Linear(), Softplus(), Exponential(), floor):
        assert torch.autograd.gradcheck(form, raw)


def test_samples_of_a_posterior() -> None:
    mu, sigma, eps = torch.randn(3, 50_000, 2)
    codes = Posterior(mu * 0 + 2, sigma * 0 - 3).sample(eps)
    assert abs(float(codes.mean()) - 2) < 0.1
    assert abs(float(codes.std()) - 3) < 0.1
