"""Iterations of the AAE family equal a literal transcription, number by number, in float64."""

import pytest
from torch import Tensor

from tests.methods.driven import Watched, images, tiny
from tests.methods.literal_aae import LiteralAAE
from tests.methods.test_literal import assert_equal, move_off_the_start

CASES = {
    "aae": "aae",
    "latent-mapping": "iaae_latent_mapping",
    "n-iter": "iaae_n_iter",
    "kld": "iaae_kld_loss",
    "kld-from-prior": "iaae_kld_loss method.kld.from_prior=true method.kld.weight=1",
    "kld-legacy": "iaae_kld_loss method.kld.legacy=true",
    "feature": "iaae_feature",
    "feature-frozen": "iaae_feature method.feature.freeze_encoder=true",
    "equal-linear": "iaae_equal_linear",
    "equal-linear-as-coded": "iaae_equal_linear method.encoder.layers.scale_bias=false "
    "method.encoder.layers.keep_norm=true",
    "all": "iaae",
    "floor": "iaae_n_iter method/variants=[sigma_floor]",
    "fixed": "iaae_feature method/variants=[sigma_fixed]",
    "posterior-kl": "iaae_latent_mapping method/variants=[posterior_kl,sigma_exp]",
    "softplus": "iaae_kld_loss method/variants=[posterior_kl,sigma_softplus] method.discriminator.dropout=0",
}


def assert_all_equal(mine: list[Tensor], theirs: list[Tensor], what: str) -> None:
    """A bias in front of a batch normalisation has no effect: its gradient is what rounding leaves."""
    ours, other = ({str(i): t.double() for i, t in enumerate(tensors)} for tensors in (mine, theirs))
    assert_equal(ours, other, what, noise=1e-13)


@pytest.mark.slow
@pytest.mark.parametrize("options", CASES.values(), ids=CASES)
def test_iterations_equal_the_transcription(options: str) -> None:
    method, config = tiny(options)
    method = method.double()
    move_off_the_start(method, 0.05)  # where no probability rounds to 1
    literal, watched = LiteralAAE(method.networks, config), Watched(method)
    for i in range(3):
        batch = images(method, seed=i)
        literal.iteration(batch, watched.iteration(batch))
        assert [step for step, _ in watched.gradients] == [step for step, _ in literal.gradients]
        for (step, mine), (_, theirs) in zip(watched.gradients, literal.gradients, strict=True):
            assert_all_equal(list(mine.values()), theirs, f"iteration {i}, step {step}, gradient")
        assert {name for name in watched.records if name.startswith("loss/")} == literal.losses.keys()
        for name, values in literal.losses.items():
            assert watched.records[name] == pytest.approx(values, rel=1e-9), name
        names = tuple(method.networks)
        for what, trained in (("weight", method.networks), ("averaged weight", method.ema)):
            chosen = [name for name in names if name in trained]
            parameters = [p.detach() for name in chosen for p in trained[name].parameters()]
            buffers = [b for name in chosen for b in trained[name].buffers()]
            assert_all_equal(parameters, [p.detach() for p in literal.parameters(chosen)], f"iteration {i}, {what}")
            assert_all_equal(buffers, literal.buffers(chosen), f"iteration {i}, {what}, running statistics")
