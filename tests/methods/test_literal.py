"""Iterations of the methods equal literal transcriptions of the paper's equations, number by number, in float64."""

from collections.abc import Mapping

import pytest
import torch
from torch import Tensor
from torch.nn.functional import conv2d

from aestyle.engine.module import PhasedModule
from tests.methods.driven import Watched, images, tiny
from tests.methods.literal import Literal

EVERY = "method.r1.every=2 method.path_length.every=1"
"""R1 in the first of two iterations, path length in both."""
PLAIN = "method.r1=null method.path_length=null"
W = "method/encoder=w"
OFFICIAL = "method/weights=official"
FROZEN = "method.joint=false method.beta=null"
BETA = "method.beta.start_kimg=0"
LATER = "method.beta.start_kimg=0.008"
"""From the second iteration on."""

CASES = {
    # Algorithm 2
    "joint": f"joint_ae {EVERY} {BETA}",
    "joint-w-official-4": f"joint_ae {EVERY} {LATER} {W} {OFFICIAL} method.e_steps=4",
    "joint-plain-4": f"joint_ae {PLAIN} {BETA} method.beta.rescale=true method.e_steps=4",
    "joint-equation-2": f"joint_ae {PLAIN} method.beta=null {W} method.pixel_loss=l2norm",
    "joint-frozen": f"joint_ae {EVERY} {FROZEN} {OFFICIAL} method.pixel_loss=l1",
    "joint-frozen-4": f"joint_ae {PLAIN} {FROZEN} {W} method.e_steps=4 method.saturating=true",
    "joint-options": f"joint_ae {EVERY} {LATER} method/nda=jigsaw method/code_critic=factor method.weights.latent=0.5 "
    "method.beta.rgb_only=true method.e_steps=2 method.style_mixing=0.8 method.betas=[0.5,0.9] method.ema.rampup=null",
    "joint-no-adversary": f"joint_ae {EVERY} {BETA} {W} method.weights.adversarial=0 method.weights.latent=2 "
    "method.weights.perceptual=0",
    # Algorithm 1
    "decoupled": f"decoupled_ae {EVERY} method.style_mixing=0.8",
    "decoupled-w-plain-4": f"decoupled_ae {PLAIN} {W} method.e_steps=4 method/nda=jigsaw",
    "decoupled-joint-4": f"decoupled_ae {EVERY} method.joint=true method.e_steps=4",
    "decoupled-joint-beta": "decoupled_ae method.joint=true method.beta={_target_:aestyle.methods.ae_stylegan."
    f"AdaptiveBeta,eps:1e-6,maximum:0.5,start_kimg:0,rgb_only:false,rescale:false}} method.r1.every=1 {W} {OFFICIAL} "
    "method.path_length=null",
    # In-domain inversion
    "two-stage": f"two_stage {EVERY}",
    "two-stage-4": f"two_stage {PLAIN} {W} {OFFICIAL} method.e_steps=4 method/code_critic=factor",
    # The order of ALAE
    "alae": f"alae {EVERY}",
    "alae-official-4": f"alae {EVERY} method/discriminator=latent_official method/encoder=w_plus method.e_steps=4 "
    "method.style_mixing=0.6",
    "alae-mapping": f"alae {PLAIN} method.train_mapping=true method.discriminator.normalize=true",
    "alae-frozen-4": f"alae {EVERY} method.joint=false method.train_mapping=true method.e_steps=4",
    "alae-encoder": f"alae {PLAIN} method.joint=false method/discriminator=latent_official method/nda=jigsaw",
}


def features(x: Tensor) -> Tensor:
    """A perception network h: two fixed random convolutions."""
    random = torch.Generator().manual_seed(5)
    first = torch.randn(6, x.shape[1], 3, 3, generator=random, dtype=x.dtype)
    second = torch.randn(4, 6, 2, 2, generator=random, dtype=x.dtype)
    return conv2d(conv2d(x, first).tanh(), second)


def move_off_the_start(method: PhasedModule, scale: float = 0.3) -> None:
    """Nothing is left at zero or one, and averaged weights differ from the others."""
    random = torch.Generator().manual_seed(1)
    for network in method.networks.values():
        for p in network.parameters():
            p.data += scale * torch.randn(p.shape, generator=random, dtype=p.dtype)


def assert_equal(mine: Mapping[str, Tensor], theirs: Mapping[str, Tensor], what: str, noise: float = 1e-15) -> None:
    assert mine.keys() == theirs.keys(), what
    for name in mine:
        error, scale = float((mine[name] - theirs[name]).abs().max()), float(theirs[name].abs().max())
        assert error <= 1e-9 * scale + noise, f"{what} of {name}: {error} beside {scale}"


def parameters(networks: Mapping[str, torch.nn.Module]) -> dict[str, Tensor]:
    return {f"{name}.{key}": p.detach() for name, net in networks.items() for key, p in net.named_parameters()}


@pytest.mark.slow
@pytest.mark.parametrize("options", CASES.values(), ids=CASES)
def test_iterations_equal_the_transcription(options: str) -> None:
    method, config = tiny(options)
    method = method.double()
    move_off_the_start(method)
    if hasattr(method, "perceptual"):
        method.perceptual = lambda x, rec: (features(x) - features(rec)).square().mean()  # type: ignore[assignment]
    assert set(method.ema) == {"mapping", "synthesis", "encoder"}
    literal, watched = Literal(method.networks, dict(method.ema.items()), config, features), Watched(method)
    for i in range(2):
        batch = images(method, seed=i)
        literal.iteration(batch, watched.iteration(batch))
        assert [step for step, _ in watched.gradients] == [step for step, _ in literal.gradients]
        for (step, mine), (_, theirs) in zip(watched.gradients, literal.gradients, strict=True):
            assert_equal(mine, theirs, f"iteration {i}, step {step}, gradient")
        assert watched.records.keys() == literal.records.keys()
        for name, values in watched.records.items():
            assert values == pytest.approx(literal.records[name], rel=1e-9), name
        assert_equal(parameters(method.networks), parameters(literal.networks), f"iteration {i}, weights")
        assert_equal(parameters(method.ema), parameters(literal.averaged), f"iteration {i}, averaged weights")  # type: ignore[arg-type]
        torch.testing.assert_close(method.path_mean, literal.path_mean, rtol=1e-9, atol=0)
        assert method.images_seen == literal.images_seen
