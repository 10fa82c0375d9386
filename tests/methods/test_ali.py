"""ALI: networks of the paper's sizes, and what its discriminator is told."""

import pytest
import torch
from torch.nn.functional import softplus

from aestyle.engine.phases import Step
from aestyle.errors import UserError
from aestyle.methods.ali import ALI
from aestyle.nets.ali import LAYOUTS, Decoder, Encoder, PairDiscriminator, layout_of
from tests.methods.test_every_method import batch, make


@pytest.mark.parametrize("resolution", [8, 16, 32, 64, 128, 256])
def test_encoder_and_decoder_fit_every_resolution(resolution: int) -> None:
    with torch.device("meta"):
        encoder, decoder = Encoder(resolution, 5, 16, 1), Decoder(resolution, 5, 16, 1)
        discriminator = PairDiscriminator(resolution, 5, 16, 1)
        x, z = torch.empty(2, 1, resolution, resolution), torch.empty(2, 5)
        assert encoder(x).mu.shape == (2, 5)
        assert decoder(z).shape == x.shape
        keep = torch.empty(2, sum(discriminator.linear_inputs))
        assert discriminator(x, z, keep).shape == (2, 1)


def test_channels_of_the_paper_s_network_for_celeba() -> None:
    with torch.device("meta"):
        encoder, discriminator = Encoder(64, 256), PairDiscriminator(64, 256)
    widths = [p.shape[0] for name, p in encoder.body.named_parameters() if p.dim() == 4]
    assert widths == [64, 128, 256, 256, 512]
    assert discriminator.linear_inputs == [256, 1024, 1536, 2048, 2048]


@pytest.mark.parametrize("resolution", [4, 48, 96])
def test_other_resolutions_are_refused(resolution: int) -> None:
    with pytest.raises(UserError, match="not a power of two"):
        layout_of(resolution)
    assert resolution not in LAYOUTS


def test_both_losses_see_the_pairs_the_other_way_round() -> None:
    method = make("ali", "method.discriminator.dropout=0")
    assert isinstance(method, ALI)
    x = batch(method)["image"]
    step = Step(x, method.draws("D", 0, x))
    with torch.no_grad():
        z = method.draw_prior(step.draws)
        posterior = method.encoder(x)
        codes = posterior.mu + posterior.sigma * step.draws.normal("eps", (method.latent_dim,))
        keep = torch.ones(16, sum(method.discriminator.linear_inputs))  # type: ignore[arg-type]
        logits = method.discriminator(torch.cat([x, method.decoder(z)]), torch.cat([codes, z]), keep)
    real, fake = logits.chunk(2)
    assert method.discriminator_loss(step).item() == pytest.approx(
        (softplus(-real).mean() + softplus(fake).mean()).item(), rel=1e-5
    )
    assert method.autoencoder_loss(step).item() == pytest.approx(
        (softplus(real).mean() + softplus(-fake).mean()).item(), rel=1e-5
    )


def test_dropped_inputs_count_for_nothing_and_the_others_more() -> None:
    discriminator = PairDiscriminator(8, 5, 8, 1, dropout=0.5).eval()
    for p in discriminator.parameters():
        torch.nn.init.normal_(p, 0, 0.3)
    x, z = torch.randn(2, 1, 8, 8), torch.randn(2, 5)
    keep = torch.ones(2, sum(discriminator.linear_inputs), dtype=torch.bool)
    keep[:, 2] = False
    other = z.clone()
    other[:, 2] += 1
    assert torch.equal(discriminator(x, z, keep), discriminator(x, other, keep))
    other[:, 1] += 1
    assert not torch.equal(discriminator(x, z, keep), discriminator(x, other, keep))
    nothing = torch.zeros_like(keep)
    assert torch.equal(discriminator(x, z, nothing), discriminator(x, other, nothing))
    with pytest.raises(UserError, match="dropout=1"):
        PairDiscriminator(8, 5, 8, 1, dropout=1)
