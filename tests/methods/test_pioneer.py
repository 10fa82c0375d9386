"""PIONEER and AGE: what grows, what weighs when, and runs that stop in the middle of it."""

import random
from pathlib import Path

import pytest
import torch
from torch.nn.functional import avg_pool2d, interpolate, normalize

from aestyle.engine.draws import RecordedDraws
from aestyle.engine.phases import Step
from aestyle.errors import UserError
from aestyle.methods.age import AGE
from aestyle.methods.pioneer import Pioneer
from aestyle.nets.pioneer import Encoder, Generator
from aestyle.nets.spectral import SpectralConv2d
from aestyle.studies.training import train
from tests.methods.test_every_method import batch, make, state
from tests.tiny import checkpoint, compose_tiny, differences

N = 64
GROWING = ("++scale.stage_kimg=0.064", "++scale.batch_sizes={4: 16}")


def grown(images_seen: int, *options: str) -> Pioneer:
    method = make("pioneer", *GROWING, *options)
    assert isinstance(method, Pioneer)
    method.images_seen = images_seen
    return method


def step(method: AGE, count: int = 8) -> Step:
    z = torch.randn(count, method.code_dim)
    draws = {"z": z, "history": torch.rand(count, 2)}
    return Step(batch(method, size=count)["image"], RecordedDraws(draws))


# -- parameters (checks.md 9) ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("resolution", "of_g", "of_e"), [(32, 20.72, 20.72), (64, 22.48, 24.25), (128, 22.93, 25.14), (256, 23.04, 25.36)]
)
def test_parameter_counts_of_the_paper(resolution: int, of_g: float, of_e: float) -> None:
    widths = {4: 512, 8: 512, 16: 512, 32: 512, 64: 256, 128: 128, 256: 64}
    with torch.device("meta"):
        generator, encoder = Generator(resolution, 512, widths), Encoder(resolution, 512, widths)
    used_g = [*generator.blocks.parameters(), *generator.to_rgb[-1].parameters()]
    used_e = [*encoder.blocks.parameters(), *encoder.from_rgb[-1].parameters()]
    assert sum(p.numel() for p in used_g) / 1e6 == pytest.approx(of_g, abs=0.006)
    assert sum(p.numel() for p in used_e) / 1e6 == pytest.approx(of_e, abs=0.006)


# -- growth ----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_real_images_fade_from_those_of_the_phase_before() -> None:
    real = torch.rand(3, 1, 8, 8) * 2 - 1
    small = avg_pool2d(real, 2)
    assert torch.equal(grown(0).shown(real), small)
    assert torch.equal(grown(N // 4).shown(real), small)  # nothing to fade from
    for done, alpha in ((0, 0.0), (8, 0.25), (24, 0.75)):
        expected = alpha * real + (1 - alpha) * interpolate(small, scale_factor=2)
        assert torch.allclose(grown(N + done).shown(real), expected)
    assert torch.equal(grown(N + N // 2).shown(real), real)


def test_a_new_block_changes_nothing_at_the_moment_it_comes() -> None:
    """At alpha 0, images are those of the phase before, enlarged, and codes are those that they had."""
    before, after = grown(N - 1), grown(N)
    codes, real = before.prior(3), batch(before)["image"][:3]
    assert torch.allclose(before.decode(codes), after.decode(codes), atol=1e-6)
    assert torch.allclose(before.encode(real), after.encode(real), atol=1e-6)
    assert not torch.allclose(before.decode(codes), grown(N + 16).decode(codes), atol=1e-3)


@pytest.mark.parametrize("images_seen", [0, N, N + 16, 2 * N])
def test_outside_sees_full_size_at_any_time(images_seen: int) -> None:
    method = grown(images_seen)
    x = batch(method)["image"][:3]
    codes = method.encode(x)
    assert torch.allclose(codes.norm(dim=1), torch.ones(3))
    assert method.decode(codes).shape == x.shape
    assert torch.allclose(method.decode(3 * codes), method.decode(codes), atol=1e-5)
    assert torch.allclose(method.prior(5).norm(dim=1), torch.ones(5))


@pytest.mark.slow
@pytest.mark.parametrize(("last_only", "boosted"), [(False, {1, 3, 4}), (True, {3, 4})])
def test_images_weigh_more_in_stable_halves(last_only: bool, boosted: set[int]) -> None:
    option = f"method.boost_last_only={str(last_only).lower()}"
    plain, other = "method.weights.x_boost=1", "method.weights.x_boost=3"
    for half in range(5):
        losses = []
        for boost in (plain, other):
            method = grown(half * N // 2, option, boost, "method.history=null")
            torch.manual_seed(0)
            losses.append(method.encoder_loss(step(method)).item())
        error = method._recorded["loss/x"][0].item()
        assert losses[1] - losses[0] == pytest.approx(2 * error if half in boosted else 0, abs=1e-5)


@pytest.mark.slow
def test_history_serves_the_encoder_s_step_of_stable_phases_only() -> None:
    method = grown(0)
    assert method.history is not None
    sizes = []
    while method.images_seen < 2 * N:
        count = method.batch_sizes(8)[N * (method.images_seen // N)]
        method.training_step(batch(method, size=count), 0)
        sizes.append(tuple(method.history.images.shape))
    fade, filling = [(0,)] * 2, [(16, 1, 4, 4), (32, 1, 4, 4)]
    assert sizes == [*fade, *filling, *[filling[-1]] * 4, *((8 * i, 1, 8, 8) for i in range(1, 5))]


def test_without_growth_everything_is_on_from_the_start() -> None:
    method = grown(0, "method.growth.progressive=false")
    assert method.boosted
    assert method.batch_sizes(8) == {0: 8}
    method.training_step(batch(method), 0)
    assert method.history is not None
    assert method.history.images.shape == (8, 1, 8, 8)


# -- losses ----------------------------------------------------------------------------------------------------------


def test_the_literal_weight_is_d_times_as_strong() -> None:
    gradients = []
    for literal in ("false", "true"):
        method = grown(0, f"method.weights.literal_z={literal}", "method.weights.kl=0")
        torch.manual_seed(1)
        method.generator_loss(step(method)).backward()
        gradients.append(method.generator.blocks[0].first.weight.grad)  # type: ignore[union-attr,index]
    assert torch.allclose(gradients[1], gradients[0] * method.code_dim, atol=1e-5 * float(gradients[1].abs().max()))


def test_the_margin_bounds_what_the_encoder_gains() -> None:
    method = grown(0, "++method.kl_margin={0: 0.05, 1: 0}")
    real, fake = torch.tensor(1.0), torch.tensor(4.0)
    assert method.game(real, fake).item() == pytest.approx(-0.05)
    assert method.game(fake, real).item() == pytest.approx(0.3)
    method.images_seen = 1000
    assert method.game(real, fake).item() == pytest.approx(-0.3)


def test_the_legacy_divergence_is_another_one() -> None:
    codes = normalize(torch.randn(9, 6), dim=1)
    assert make("age").divergence(codes) != make("age", "method.legacy_kl=true").divergence(codes)  # type: ignore[operator]


def test_schedules_of_age() -> None:
    method = make(
        "age", "++method.batch_steps={0: 24, 0.096: 40}", "++method.lr_steps={0.03: 0.5}", "method.boost_kimg=0.05"
    )
    assert isinstance(method, AGE)
    assert method.batch_sizes(8) == {0: 24, 96: 40}
    method.images_seen = 24
    assert (method.lr_factor(), method.boosted) == (1.0, False)
    method.images_seen = 50
    assert (method.lr_factor(), method.boosted) == (0.5, True)
    before = state(method)
    method.training_step(batch(method), 0)
    rates = {group["lr"] for o in method.optimizers() for group in o.param_groups}  # type: ignore[union-attr]
    assert rates == {method.lr / 2}
    assert differences(before, state(method))


# -- layers ----------------------------------------------------------------------------------------------------------


def test_spectral_norm_is_the_largest_singular_value_and_kept_by_training_only() -> None:
    conv = SpectralConv2d(5, 7, 3, 1)
    x = torch.randn(2, 5, 4, 4)
    saved = conv.u.clone()
    conv.eval()(x)
    conv.train().requires_grad_(False)(x)
    assert torch.equal(conv.u, saved)
    conv.requires_grad_(True)
    for _ in range(200):
        conv(x)
    exact = torch.linalg.matrix_norm(conv.weight.flatten(1), 2)
    assert conv.spectral_norm().item() == pytest.approx(exact.item(), rel=1e-4)
    assert torch.allclose(conv.eval()(x), conv.train()(x), atol=1e-5)


# -- whole runs ------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_run_that_stops_in_every_kind_of_place_ends_like_one_that_does_not(tmp_path: Path) -> None:
    """In the first phase, in a fade, and with a part-filled buffer; the batch shrinks on the way."""
    options = ("method=pioneer", *GROWING)
    train(compose_tiny(*options, "kimg=0.16"), tmp_path / "straight")
    stops = [random.choice((16, 32, 48, 64)), random.choice((72, 80, 88)), random.choice((104, 112, 128))]
    for images in (*stops, 160):
        method = train(compose_tiny(*options, f"kimg={images / 1000}"), tmp_path / "stopped")
        assert method is not None
        assert method.images_seen == images
    assert method is not None
    assert method.batches_seen == 4 + 12
    ends = [checkpoint(tmp_path / run) for run in ("straight", "stopped")]
    assert len(ends[0]["state_dict"]["history._extra_state"]) == 64
    for key in ("state_dict", "optimizer_states", "callbacks"):
        assert not differences(ends[0][key], ends[1][key]), key


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["method.averaged=[critic]"], "method.averaged"),
        (["method.pixel_loss=l3"], "method.pixel_loss=l3"),
        (["method.generator.norm=batch"], "method.generator.norm=batch"),
        (["++method.boost_kimg=1"], "method.growth"),
        (["method.growth.resolution=16"], "method.growth.resolution=16"),
        (["method.g_steps=0"], "method.g_steps=0"),
        (["method.ema.per_iteration=1"], "method.ema.per_iteration=1"),
    ],
)
def test_impossible_options_are_refused_in_one_line(options: list[str], message: str) -> None:
    with pytest.raises(Exception, match=message) as caught:
        make("pioneer", *options)
    cause: BaseException | None = caught.value
    while cause is not None and not isinstance(cause, UserError):
        cause = cause.__cause__
    assert isinstance(cause, UserError)
    assert "\n" not in str(cause)
