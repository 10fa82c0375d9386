"""What holds for reconstruction whatever the weights are: what moves, what does not, and what cancels."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from aestyle.engine.module import PhasedModule
from aestyle.engine.phases import Step
from aestyle.studies.initialisation import freeze
from tests.helpers import answer
from tests.methods.driven import Watched, images, tiny
from tests.tiny import TINY, differences

Gradients = dict[str, Tensor]


def ae_gradients(options: str, adversarial: float) -> Gradients:
    """Gradients of the first AE step in float64, with this lambda_adv."""
    method = tiny(f"{options} method.weights.adversarial={adversarial} method.weights.perceptual=0")[0].double()
    watched = Watched(method)
    watched.iteration(images(method))
    return dict(watched.gradients)["AE"]


def relative_difference(a: Gradients, b: Gradients) -> float:
    """``|a - b| / |b|`` over all parameters."""
    assert a.keys() == b.keys()

    def length(tensors: list[Tensor]) -> float:
        return float(torch.cat([t.flatten() for t in tensors]).norm())

    return length([a[name] - b[name] for name in a]) / length(list(b.values()))


def test_lambda_adv_cancels_under_adaptive_beta() -> None:
    """Its gradient has the length of that of L_rec, whatever lambda is: between .01 and 10 only eps shows."""
    for eps, least, most in [(1e-12, 0.0, 1e-7), (1e-4, 1e-7, 0.3)]:
        options = f"joint_ae method.beta.start_kimg=0 method.beta.eps={eps}"
        assert least <= relative_difference(ae_gradients(options, 0.01), ae_gradients(options, 10)) < most


@pytest.mark.parametrize("beta", ["method.beta=null", "method.beta.start_kimg=0 method.beta.rescale=true"])
def test_lambda_adv_counts_otherwise(beta: str) -> None:
    small, one, large = (ae_gradients(f"joint_ae {beta}", weight) for weight in (0.01, 1.0, 10))
    assert relative_difference(small, large) > 0.1
    # the adversarial part is proportional to lambda: (10 - .01) times what one unit, (1 - .01), adds
    for name in small:
        torch.testing.assert_close(
            large[name] - small[name], (one[name] - small[name]) * (9.99 / 0.99), rtol=1e-2, atol=1e-4
        )


def test_beta_makes_both_terms_count_alike_at_the_last_layer() -> None:
    """With both gradients of one length there, beta times the adversarial one is as long as that of L_rec."""
    options = "joint_ae method.beta.start_kimg=0 method.beta.eps=1e-12 method.beta.maximum=1e12"
    last = ["synthesis.to_rgbs.1.weight", "synthesis.convs.2.conv.weight"]
    both = ae_gradients(options, 0.1)
    rec = ae_gradients("joint_ae method.beta=null", 0)
    adversarial = torch.cat([(both[name] - rec[name]).flatten() for name in last]).norm()
    torch.testing.assert_close(adversarial, torch.cat([rec[name].flatten() for name in last]).norm())


def changed_by(method: PhasedModule, phase: str) -> set[str]:
    """The networks that differ after one phase from before."""
    before = {key: value.clone() for key, value in method.state_dict().items()}
    (chosen,) = (p for p in method.phases() if p.name == phase)
    batch = images(method)[:8]
    method.run_phase(chosen, Step(batch, method.draws(phase, 0, batch)))
    return {name.split(".")[1] for name in differences(before, method.state_dict())}


@pytest.mark.parametrize(
    ("options", "moved"),
    [
        ("joint_ae method.joint=false method.beta=null", {"encoder"}),
        ("decoupled_ae method.weights.latent=1", {"encoder"}),
        ("two_stage", {"encoder"}),
        ("joint_ae", {"encoder", "synthesis"}),
        ("decoupled_ae method.joint=true", {"encoder", "synthesis"}),
    ],
)
def test_frozen_generator_stays_in_the_ae_step(options: str, moved: set[str]) -> None:
    assert changed_by(tiny(options)[0], "AE") == moved


@pytest.mark.parametrize("frozen", [True, False])
def test_two_stage_leaves_the_generator_and_its_average(frozen: bool) -> None:
    """Also if nobody froze it."""
    method = tiny("two_stage method.e_steps=2")[0]
    if frozen:
        freeze(method, [])
    before = {key: value.clone() for key, value in method.state_dict().items()}
    for i in range(5):
        method.training_step({"image": images(method, seed=i)}, 0)
    changed = {
        name.removeprefix(".").removeprefix("ema.").split(".")[0] for name in differences(before, method.state_dict())
    }
    assert changed == {"encoder", "discriminator"}


# -- ALAE ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("train_mapping", ["false", "true"])
def test_alae_moves_what_each_phase_names(train_mapping: str) -> None:
    method = tiny(f"alae method.train_mapping={train_mapping}")[0]
    mapping = {"mapping"} if train_mapping == "true" else set()
    expected = {
        "D": {"discriminator", "encoder"},
        "D_r1": {"discriminator", "encoder"},
        "G": {"mapping", "synthesis"},
        "L": {"encoder", "synthesis"} | mapping,
    }
    assert {phase: changed_by(method, phase) for phase in expected} == expected


@pytest.mark.parametrize("train_mapping", ["false", "true"])
@pytest.mark.parametrize("joint", ["false", "true"])
def test_code_reaches_the_mapping_only_if_asked(joint: str, train_mapping: str) -> None:
    method = tiny(f"alae method.train_mapping={train_mapping} method.joint={joint}")[0]
    watched = Watched(method)
    watched.iteration(images(method))
    gradients = dict(watched.gradients)["L"]
    assert {name.split(".")[0] for name in gradients} == (
        {"encoder"}
        | ({"synthesis"} if joint == "true" else set())
        | ({"mapping"} if train_mapping == "true" else set())
    )
    assert all(float(g.abs().sum()) > 0 for name, g in gradients.items() if name.startswith("mapping"))


def test_official_latent_discriminator_squashes_the_logit() -> None:
    """The code of AE-StyleGAN has a leaky ReLU after the logit: the same weights, sqrt(2) up and a fifth of it down."""
    linear, official = (
        tiny(f"alae method/discriminator={name}")[0].networks["discriminator"] for name in ("latent", "latent_official")
    )
    codes = torch.randn(64, 1, 6, generator=torch.Generator().manual_seed(0))
    head = linear.get_parameter("2.bias")
    head.data -= linear(codes).detach().mean() / 0.1  # logits of both signs; biases count a tenth
    official.load_state_dict(linear.state_dict())
    plain = linear(codes)
    assert plain.min() < 0 < plain.max()
    torch.testing.assert_close(official(codes), 2**0.5 * torch.where(plain > 0, plain, plain / 5))


# -- mistakes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ("method=joint_ae method.joint=false", ("method.beta=null", "method.joint")),
        ("method=joint_ae method.pixel_loss=huber", ("method.pixel_loss=huber", "mse", "l1", "l2norm")),
        ("method=two_stage method.joint=true", ("method.joint=false", "two_stage")),
        ("method=decoupled_ae method/nda=jigsaw method.nda.weight=2", ("method.nda.weight=2",)),
        ("method=stylegan2 method/nda=jigsaw method.nda.weight=-0.1", ("method.nda.weight=-0.1",)),
    ],
)
def test_impossible_options_are_answered_in_one_line(options: str, named: tuple[str, ...], tmp_path: Path) -> None:
    line = answer("train", *TINY, *options.split(), f"run_dir={tmp_path / 'run'}").line
    assert all(name in line for name in named)
