"""Adaptive augmentation: each transformation against a slow reference, derivatives, and the way p goes."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hydra.utils import instantiate
from scipy import ndimage
from scipy.spatial.transform import Rotation
from torch import Tensor

from aestyle.engine.ada_pipe import COINS, NORMALS, UNIFORMS, Strengths, augment, colour, geometry
from aestyle.engine.augment import AdaptiveAugment, FixedAugment, NoAugment
from aestyle.engine.draws import KeyedDraws, RecordedDraws
from aestyle.engine.warp import SYM6, warp
from aestyle.errors import UserError
from tests.methods.test_every_method import ADA, batch, make
from tests.tiny import STYLEGANS, compose_tiny, differences, slow_but

GEOMETRY, COLOUR = COINS[:8], COINS[8:]
H, W = 24, 20


@pytest.fixture(params=range(3))
def seed(request: pytest.FixtureRequest) -> int:
    torch.manual_seed(request.param)
    return request.param


def smooth(n: int, channels: int, height: int = H, width: int = W) -> Tensor:
    """Random images that a cubic spline holds well, float64, with mirrored borders."""
    noise = torch.randn(n, channels, height, width).double().numpy()
    images = ndimage.gaussian_filter(noise, (0, 0, 2.5, 2.5), mode="mirror")
    return torch.from_numpy(images / images.std() / 2)


def recorded(n: int, *struck: str) -> RecordedDraws:
    """Random strengths; at p = 1/2 exactly the transformations ``struck`` happen, to every image."""
    coins = torch.tensor([[0.1 if name in struck else 0.9 for name in COINS]]).double().expand(n, -1)
    uniform, normal = torch.rand(n, len(UNIFORMS)).double(), torch.randn(n, len(NORMALS)).double()
    return RecordedDraws({"augment/x/coins": coins, "augment/x/uniform": uniform, "augment/x/normal": normal})


def strengths(draws: RecordedDraws, n: int, p: float = 0.5) -> Strengths:
    return Strengths.draw(n, p, draws, "x")


def keyed(n: int, seed: int = 0, first: int = 0) -> KeyedDraws:
    return KeyedDraws(seed, "D", 0, torch.arange(first, first + n), first, torch.float64)


# -- one transformation after the other ------------------------------------------------------------------------------


def about_centre(image: np.ndarray, x: float, y: float) -> np.ndarray:
    """Magnifies by x and y about the centre."""
    centre = (np.array(image.shape) - 1) / 2
    matrix = np.array([1 / y, 1 / x])
    return ndimage.affine_transform(image, matrix, centre - matrix * centre, mode="mirror")


def moved(image: np.ndarray, x: float, y: float) -> np.ndarray:
    return ndimage.shift(image, (y, x), mode="mirror")


def turned(image: np.ndarray, angle: float) -> np.ndarray:
    """Turns x toward y, that is clockwise."""
    return ndimage.rotate(image, -math.degrees(angle), reshape=False, mode="mirror")


SLOW: dict[str, Callable[[np.ndarray, dict[str, float], dict[str, float]], np.ndarray]] = {
    "flip": lambda image, u, n: image[:, ::-1] if u["flip"] >= 0.5 else image,
    "quarter_turn": lambda image, u, n: np.rot90(image, -int(4 * u["quarter_turn"])),
    "shift": lambda image, u, n: moved(
        image, *(round((2 * u[f"shift_{a}"] - 1) * size / 8) for a, size in zip("xy", image.shape[::-1], strict=True))
    ),
    "scale": lambda image, u, n: about_centre(image, 2 ** (n["scale"] / 5), 2 ** (n["scale"] / 5)),
    "turn": lambda image, u, n: turned(image, (2 * u["turn"] - 1) * math.pi),
    "stretch": lambda image, u, n: about_centre(image, 2 ** (n["stretch"] / 5), 2 ** (-n["stretch"] / 5)),
    "second_turn": lambda image, u, n: turned(image, (2 * u["second_turn"] - 1) * math.pi),
    "drift": lambda image, u, n: moved(image, n["drift_x"] * image.shape[1] / 8, n["drift_y"] * image.shape[0] / 8),
}


@pytest.mark.parametrize("name", GEOMETRY)
def test_geometry_equals_slow_reference(name: str, seed: int) -> None:
    """A spline on smooth images, mirrored at the border; quarter turns need square ones."""
    n, size = 8, (H, H) if name == "quarter_turn" else (H, W)
    images, draws = smooth(n, 1, *size), recorded(n, name)
    s = strengths(draws, n)
    result = augment(images, 0.5, draws, "x")
    assert result.shape == images.shape
    for i in range(n):
        u, g = ({k: float(v[i]) for k, v in values.items()} for values in (s.uniform, s.normal))
        expected = np.stack([SLOW[name](channel, u, g) for channel in images[i].numpy()])
        error = np.abs(result[i].numpy() - expected)
        assert error.max() < 0.06, "border"
        assert error[:, 5:-5, 5:-5].max() < 0.03


@pytest.mark.parametrize("name", COLOUR)
def test_colour_equals_slow_reference(name: str, seed: int) -> None:
    images, draws = torch.rand(5, 3, 6, 7).double() * 2 - 1, recorded(5, name)
    s = strengths(draws, 5)
    result = augment(images, 0.5, draws, "x")
    for i, x in enumerate(images.numpy()):
        u, g = ({k: float(v[i]) for k, v in values.items()} for values in (s.uniform, s.normal))
        grey = x.mean(axis=0, keepdims=True)
        axis = Rotation.from_rotvec((2 * u["hue"] - 1) * math.pi * np.ones(3) / math.sqrt(3))
        expected = {
            "brightness": x + 0.2 * g["brightness"],
            "contrast": x * 2 ** (0.5 * g["contrast"]),
            "luma_flip": x - 2 * grey if u["luma_flip"] >= 0.5 else x,
            "hue": axis.apply(x.reshape(3, -1).T).T.reshape(x.shape),
            "saturation": grey + (x - grey) * 2 ** g["saturation"],
        }[name]
        assert np.allclose(result[i].numpy(), expected, atol=1e-12)


def test_transformations_are_applied_in_their_order(seed: int) -> None:
    """All at once is one after the other."""
    draws = recorded(4, *COINS)
    alone = []
    for name in COINS:
        coins = recorded(4, name).values["augment/x/coins"]
        alone.append(strengths(RecordedDraws({**draws.values, "augment/x/coins": coins}), 4))
    forward = torch.eye(3).double()
    for s in alone[:8]:
        forward = torch.linalg.inv(geometry(s, H, W)) @ forward
    assert torch.allclose(geometry(strengths(draws, 4), H, W), torch.linalg.inv(forward), atol=1e-9)
    colours, one = torch.rand(4, 3, 5).double(), torch.ones(4, 1, 5).double()
    together = colour(strengths(draws, 4), 3) @ torch.cat([colours, one], dim=1)
    for s in alone[8:]:
        colours = colour(s, 3) @ torch.cat([colours, one], dim=1)
    assert torch.allclose(together, colours, atol=1e-12)


def test_grey_pictures_are_colour_pictures_without_colour(seed: int) -> None:
    grey, draws = smooth(6, 1), recorded(6, *COINS)
    as_colour = augment(grey.expand(-1, 3, -1, -1), 0.5, draws, "x")
    assert torch.allclose(augment(grey, 0.5, draws, "x").expand_as(as_colour), as_colour, atol=1e-12)
    assert augment(grey, 0.5, recorded(6, "hue", "saturation"), "x").equal(grey)


# -- how it warps ----------------------------------------------------------------------------------------------------


def test_wavelet_is_the_symlet_with_six_vanishing_moments() -> None:
    """Orthonormal under shifts by two, and blind to polynomials up to degree five after alternating signs."""
    taps, order = np.array(SYM6), np.arange(len(SYM6))
    for shift in range(6):
        assert taps[2 * shift :] @ taps[: len(taps) - 2 * shift] == pytest.approx(float(shift == 0), abs=1e-9)
    for degree in range(6):
        assert (taps * (-1.0) ** order * order**degree).sum() == pytest.approx(0, abs=1e-8)
    assert taps.sum() == pytest.approx(math.sqrt(2))


def test_identity_and_whole_pixel_shifts_are_exact_inside(seed: int) -> None:
    images = torch.randn(4, 3, H, W).double()
    inverse = torch.eye(3).double().repeat(4, 1, 1)
    assert torch.allclose(warp(images, inverse)[..., 4:-4, 4:-4], images[..., 4:-4, 4:-4], atol=1e-9)
    dx, dy = torch.randint(-3, 4, (2,)).tolist()
    inverse[:, 0, 2], inverse[:, 1, 2] = dx, dy
    expected = images[..., 8 + dy : H - 8 + dy, 8 + dx : W - 8 + dx]
    assert torch.allclose(warp(images, inverse)[..., 8:-8, 8:-8], expected, atol=1e-9)


def test_shrinking_far_repeats_the_mirrored_image(seed: int) -> None:
    """A constant stays constant however far the warp looks past the border, and nothing black comes in."""
    images = torch.ones(8, 1, 9, 12).double() * torch.rand(8, 1, 1, 1)
    inverse = torch.randn(8, 2, 3).double() * 30
    assert torch.allclose(warp(images, inverse), images, atol=1e-9)


def test_shrinking_does_not_alias() -> None:
    """A chequerboard of single pixels, made smaller by 1.8, is even grey and no coarser pattern."""
    board = (torch.arange(32)[:, None] + torch.arange(32)) % 2 * 2.0 - 1
    inverse = torch.diag(torch.tensor([1.8, 1.8, 1.0]))[None]
    inside = warp(board.double()[None, None], inverse.double())[..., 12:20, 12:20]
    assert float(inside.std()) < 0.1


@pytest.mark.parametrize("channels", [1, 3])
def test_derivatives_of_first_and_second_order(channels: int, seed: int) -> None:
    images = (torch.rand(2, channels, 5, 4).double() * 2 - 1).requires_grad_()
    draws = recorded(2, *COINS)

    def energy(x: Tensor) -> Tensor:
        return augment(x, 0.5, draws, "x").square()

    assert torch.autograd.gradcheck(energy, images)
    assert torch.autograd.gradgradcheck(energy, images, fast_mode=True)
    assert torch.autograd.gradgradcheck(lambda x: augment(x, 0.5, draws, "x"), images, fast_mode=True)


# -- which images are struck -----------------------------------------------------------------------------------------


def test_without_probability_the_images_pass_untouched(seed: int) -> None:
    images = torch.rand(4, 3, 8, 8)
    for untouched in (NoAugment(), FixedAugment(0.0), AdaptiveAugment()):
        assert untouched(images, keyed(4), "real") is images


@pytest.mark.parametrize("name", slow_but(["stylegan2", "joint_ae"], STYLEGANS))
def test_training_with_p_zero_is_training_without(name: str) -> None:
    """The same bits in every network; an adaptive p that starts at 0 and may not rise stays there."""
    choices = ("none", "fixed method.augment.p=0", "ada method.augment.target=1 method.augment.interval=1")
    methods = [make(name, *f"method/augment={choice}".split()) for choice in choices]
    for i in range(2):
        for method in methods:
            method.training_step(batch(method, seed=i), 0)
    plain, fixed, adaptive = (method.state_dict() for method in methods)
    assert not differences(plain, fixed)
    assert not differences(plain, {key: adaptive[key] for key in plain})  # p itself is state, and beside it


def test_images_that_no_coin_strikes_keep_their_bits(seed: int) -> None:
    p, images, draws = 0.05, torch.rand(64, 3, 8, 8).double(), keyed(64, seed)
    s = Strengths.draw(64, p, draws, "real")
    spared = torch.stack([coin >= p for coin in s.coins.values()]).all(dim=0)
    assert 0 < int(spared.sum()) < 64
    result = augment(images, p, draws, "real")
    assert result[spared].equal(images[spared])
    assert not result[~spared].equal(images[~spared])


def test_each_image_has_its_own_draws(seed: int) -> None:
    """An image is augmented alike in whatever batch it comes, and real and fake are drawn apart."""
    images = torch.rand(1, 3, 8, 8).double().expand(6, -1, -1, -1)
    whole = augment(images, 1.0, keyed(6, seed), "real")
    assert torch.allclose(augment(images[:3], 1.0, keyed(3, seed, first=3), "real"), whole[3:], atol=1e-12)
    assert all(not torch.allclose(whole[i], whole[j], atol=1e-3) for i in range(6) for j in range(i))
    assert not torch.allclose(augment(images, 1.0, keyed(6, seed), "fake"), whole, atol=1e-3)


def test_how_often_and_how_far(seed: int) -> None:
    """Over 20,000 images: frequencies within five deviations, and the reference's faults are not there."""
    n, p, size = 20_000, 0.3, 1024
    s = Strengths.draw(n, p, keyed(n, seed), "real")

    def share(hits: Tensor, expected: float) -> None:
        assert abs(float(hits.double().mean()) - expected) < 5 * math.sqrt(expected * (1 - expected) / n)

    eye = torch.eye(3).double()
    share((geometry(s, size, size) == eye).flatten(1).all(dim=1), (1 - p / 2) * (1 - 3 * p / 4) * (1 - p) ** 5)
    colour_eye = torch.eye(3, 4).double()
    share((colour(s, 3) == colour_eye).flatten(1).all(dim=1), (1 - p) ** 4 * (1 - p / 2))
    alone = {name: recorded(n, name).values["augment/x/coins"] for name in ("quarter_turn", "shift")}
    draws = {"augment/x/uniform": torch.stack(list(s.uniform.values()), 1),
             "augment/x/normal": torch.stack(list(s.normal.values()), 1)}  # fmt: skip
    turns, shifts = (
        geometry(strengths(RecordedDraws({**draws, "augment/x/coins": coins}), n), size, size)
        for coins in alone.values()
    )
    for quarter in range(4):
        angle = torch.atan2(turns[:, 0, 1], turns[:, 0, 0]) / (math.pi / 2) % 4
        share((angle - quarter).abs() % 4 < 1e-6, 0.25)
    x, y = shifts[:, 0, 2], shifts[:, 1, 2]
    assert float(x.abs().max()) == float(y.abs().max()) == size / 8
    assert float(x.std()) == pytest.approx(size / 8 / math.sqrt(3), rel=0.03)
    assert abs(float(torch.corrcoef(torch.stack([x, y]))[0, 1])) < 5 / math.sqrt(n)


def test_uniforms_are_uniform_and_keyed_per_image(seed: int) -> None:
    draws = KeyedDraws(seed, "D", 0, torch.arange(2000), 0)
    values = draws.uniforms("u", (50,))
    assert values.dtype == torch.float32
    assert float(values.min()) >= 0
    assert float(values.max()) < 1
    assert draws.uniforms("u", (50,), 7).equal(values[:7])
    assert KeyedDraws(seed, "D", 0, torch.arange(5, 9), 64).uniforms("u", (50,)).equal(values[5:9])
    spread = values.double().flatten().sort().values
    steps = torch.arange(len(spread), dtype=torch.float64) / len(spread)
    assert float((spread - steps).abs().max()) < 2.2 / len(spread) ** 0.5
    assert float(torch.corrcoef(values.T.double()).triu(1).abs().max()) < 6 / 2000**0.5


# -- how p goes ------------------------------------------------------------------------------------------------------


def test_p_moves_at_its_speed_and_stops_at_both_ends() -> None:
    """16 images a step: p is images / 500,000, adjusted every fourth step; 0 and 1 are never passed."""
    ada, sure, unsure = AdaptiveAugment(), torch.ones(16, 1), -torch.ones(16, 1)
    for step in range(1, 41):
        ada.observe(sure)
        assert ada.p == step // 4 * 4 * 16 / 500_000
    ada.level.fill_(500_000 - 100)
    for expected in (500_000 - 100 + 64, 500_000, 500_000):
        for _ in range(4):
            ada.observe(sure)
        assert ada.p == expected / 500_000
    ada.level.fill_(100)
    for expected in (36, 0, 0):
        for _ in range(4):
            ada.observe(unsure)
        assert ada.p == expected / 500_000


def test_p_starts_where_it_is_told_to() -> None:
    assert AdaptiveAugment(start=0.25).p == 0.25


def test_p_follows_a_stream_of_scores(seed: int) -> None:
    """Against a plain loop, with random options and batch sizes."""
    target, interval, full = (
        float(torch.rand(())) - 0.2,
        int(torch.randint(1, 9, ())),
        int(torch.randint(200, 2000, ())),
    )
    ada = AdaptiveAugment(target, full / 1000, interval)
    p, window, ups = 0.0, [], 0
    for step in range(1, 201):
        logits = torch.randn(int(torch.randint(1, 20, ())), 1) + 2 * math.sin(step / 20)
        recorded_p = ada.observe(logits)["health/ada_p"]
        window += [1 if x > 0 else -1 for x in logits[:, 0].tolist()]
        if step % interval == 0:
            up = sum(window) / len(window) > target
            p = min(1.0, max(0.0, p + (len(window) if up else -len(window)) / full))
            window, ups = [], ups + up
        assert ada.p == pytest.approx(p, abs=1e-9)
        assert float(recorded_p) == pytest.approx(p, abs=1e-6)
    assert 0 < ups < 200 // interval


def test_scores_that_are_no_numbers_do_no_harm() -> None:
    ada = AdaptiveAugment(speed_kimg=0.1, interval=1)
    ada.observe(torch.ones(10))
    ada.observe(torch.tensor([float("nan")] * 4))
    assert ada.p == pytest.approx(0.06)
    ada.observe(torch.tensor([float("inf")] * 4))
    assert ada.p == pytest.approx(0.1)


def test_constant_augmentation_learns_nothing() -> None:
    fixed = FixedAugment(0.3)
    assert fixed.observe(torch.ones(100)) == {}
    assert fixed.p == 0.3


@pytest.mark.parametrize("name", slow_but(["stylegan2", "joint_ae"], STYLEGANS))
def test_training_goes_on_exactly_from_a_checkpoint(name: str) -> None:
    """Between two adjustments, in the middle of p's way: the same bits as without the stop."""
    overrides = ADA.replace("interval=1", "interval=2").split()
    whole, first, second = (make(name, *overrides, seed=i) for i in (0, 0, 1))
    for i in range(7):
        whole.training_step(batch(whole, seed=i), 0)
    for i in range(3):
        first.training_step(batch(first, seed=i), 0)
    checkpoint: dict[str, object] = {}
    first.on_save_checkpoint(checkpoint)
    second.on_load_checkpoint(checkpoint)
    second.load_state_dict(first.state_dict())
    for mine, saved in zip(second.optimizers(), first.optimizers(), strict=True):  # type: ignore[arg-type]
        mine.load_state_dict(saved.state_dict())  # type: ignore[union-attr]
    for i in range(3, 7):
        second.training_step(batch(second, seed=i), 0)
    assert not differences(whole.state_dict(), second.state_dict())
    assert 0 < second.batch_stats["health/ada_p"] < 1


def test_precision_settings_leave_p_alone() -> None:
    ada = AdaptiveAugment(interval=1)
    ada.level.fill_(123_457)
    assert ada.to(torch.bfloat16).p == 123_457 / 500_000


@pytest.mark.parametrize(("choice", "kind"), [("none", NoAugment), ("fixed", FixedAugment), ("ada", AdaptiveAugment)])
def test_configuration_offers_it(choice: str, kind: type) -> None:
    for method in STYLEGANS:
        cfg = compose_tiny(f"method={method}", f"method/augment={choice}")
        assert type(instantiate(cfg.method.augment)) is kind
        default = AdaptiveAugment if method == "overparam" else NoAugment  # whose paper trains with it
        assert type(instantiate(compose_tiny(f"method={method}").method.augment)) is default


@pytest.mark.parametrize(
    ("build", "option"),
    [
        (lambda: FixedAugment(1.5), "method.augment.p=1.5"),
        (lambda: FixedAugment(float("nan")), "method.augment.p=nan"),
        (lambda: AdaptiveAugment(target=2), "method.augment.target=2"),
        (lambda: AdaptiveAugment(speed_kimg=0), "method.augment.speed_kimg=0"),
        (lambda: AdaptiveAugment(interval=0), "method.augment.interval=0"),
        (lambda: AdaptiveAugment(start=-0.1), "method.augment.start=-0.1"),
    ],
)
def test_options_out_of_range_are_refused(build: Callable[[], object], option: str) -> None:
    with pytest.raises(UserError, match=option):
        build()
