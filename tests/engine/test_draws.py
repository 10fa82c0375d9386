"""Keyed randomness: what a number depends on, what it does not, and that it is as random as it should be."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from aestyle.engine.draws import KeyedDraws, RecordedDraws, sample_normal

CPU = torch.device("cpu")
MILLION = 10**6


@pytest.fixture(params=range(3))
def seed(request: pytest.FixtureRequest) -> int:
    torch.manual_seed(request.param)
    return int(torch.randint(0, 2**40, ()))


def draws(seed: int, positions: Tensor, phase: str = "D", repeat: int = 0, clock: int = 0) -> KeyedDraws:
    return KeyedDraws(seed, phase, repeat, positions, clock)


def assert_standard_normal(x: Tensor) -> None:
    """Four moments within 5 standard errors."""
    x, n = x.double().flatten(), x.numel()
    for power, moment, variance in [(1, 0.0, 1.0), (2, 1.0, 2.0), (3, 0.0, 15.0), (4, 3.0, 96.0)]:
        assert abs(float(x.pow(power).mean()) - moment) < 5 * (variance / n) ** 0.5, f"moment {power}"


def assert_uncorrelated(x: Tensor, y: Tensor) -> None:
    x, y = x.double().flatten(), y.double().flatten()
    for a, b in ((x, y), (x.square() - 1, y.square() - 1)):
        correlation = float((a * b).mean() / (a.std() * b.std()))
        assert abs(correlation) < 5 / len(x) ** 0.5


# -- what a draw depends on ------------------------------------------------------------------------------------------


def test_draws_do_not_depend_on_how_the_batch_is_cut(seed: int) -> None:
    batch, shape = 12, (3, 5)
    positions = torch.arange(batch) + int(torch.randint(0, 10**9, ()))
    whole = draws(seed, positions).normal("z", shape)
    for world in (1, 2, 3, 4):
        for rank in range(world):
            assert torch.equal(draws(seed, positions[rank::world]).normal("z", shape), whole[rank::world])
    order = torch.randperm(batch)
    assert torch.equal(draws(seed, positions[order]).normal("z", shape), whole[order])
    assert torch.equal(draws(seed, positions).normal("z", shape, 5), whole[:5])


def test_draws_do_not_depend_on_earlier_ones_nor_disturb_torch(seed: int) -> None:
    one = draws(seed, torch.arange(4))
    torch.manual_seed(seed)
    expected = torch.randn(3)
    torch.manual_seed(seed)
    first = one.normal("z", (7,))
    one.normal("noise", (100,))
    one.uniform("mix")
    assert torch.equal(one.normal("z", (7,)), first)
    assert torch.equal(torch.randn(3), expected)


def test_draws_do_not_depend_on_the_clock(seed: int) -> None:
    positions = torch.arange(4)
    assert torch.equal(
        draws(seed, positions, clock=0).normal("z", (7,)), draws(seed, positions, clock=8).normal("z", (7,))
    )


def test_every_part_of_the_key_counts(seed: int) -> None:
    positions, size = torch.arange(1000), (100,)
    base = draws(seed, positions)
    variants = {
        "name": base.normal("z2", size),
        "phase": replace(base, phase="G").normal("z", size),
        "repeat": replace(base, repeat=1).normal("z", size),
        "seed": replace(base, seed=seed + 1).normal("z", size),
        "position": replace(base, positions=positions + 1000).normal("z", size),
        "far position": replace(base, positions=positions + 2**40).normal("z", size),
        "opposite seed": replace(base, seed=-seed).normal("z", size),
    }
    z = base.normal("z", size)
    for name, other in variants.items():
        assert not torch.isclose(z, other, rtol=0, atol=1e-9).float().mean() > 1e-4, name
        assert_uncorrelated(z, other)


def test_dtype_changes_the_type_only(seed: int) -> None:
    one = draws(seed, torch.arange(4))
    wide = replace(one, dtype=torch.float64).normal("z", (9,))
    assert wide.dtype == torch.float64
    assert torch.equal(wide, one.normal("z", (9,)).double())


@pytest.mark.parametrize("shape", [(), (1,), (7,), (1, 4, 4), (3, 2, 1)])
def test_shapes(seed: int, shape: tuple[int, ...]) -> None:
    assert draws(seed, torch.arange(5)).normal("z", shape).shape == (5, *shape)
    assert draws(seed, torch.arange(0)).normal("z", shape).shape == (0, *shape)


def test_sample_normal_keeps_its_first_samples(seed: int) -> None:
    few, many = sorted(torch.randint(1, 50, (2,)).tolist())
    assert torch.equal(sample_normal(seed, "z", many, (6,), CPU)[:few], sample_normal(seed, "z", few, (6,), CPU))
    assert not torch.equal(sample_normal(seed, "z", few, (6,), CPU), sample_normal(seed + 1, "z", few, (6,), CPU))


# -- how random it is ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("positions", [1, 1000, MILLION])
def test_numbers_are_normal_and_neighbours_independent(seed: int, positions: int) -> None:
    """A million numbers as one long draw, as many short ones, and between."""
    per_sample = MILLION // positions
    x = draws(seed, torch.arange(positions) + seed % 10**6).normal("z", (per_sample,))
    assert_standard_normal(x)
    if positions > 1:
        assert_uncorrelated(x[:-1], x[1:])
    if per_sample > 1:
        assert_uncorrelated(x[:, :-1], x[:, 1:])
        half = per_sample // 2  # Box-Muller makes these two from the same word
        assert_uncorrelated(x[:, :half], x[:, half : 2 * half])


def test_numbers_follow_the_normal_distribution_function(seed: int) -> None:
    """Kolmogorov-Smirnov distance over a million numbers, far below what 1 % of wrong mass would give."""
    x = draws(seed, torch.arange(1000)).normal("z", (1000,)).double().flatten().sort().values
    distribution = torch.special.ndtr(x)
    steps = torch.arange(1, len(x) + 1, dtype=torch.float64) / len(x)
    assert float((distribution - steps).abs().max()) < 2.2 / len(x) ** 0.5


def test_numbers_are_finite_and_hardly_ever_repeat(seed: int) -> None:
    x = draws(seed, torch.arange(1000)).normal("z", (1000,))
    assert bool(torch.isfinite(x).all())
    assert len(x.unique()) > 0.9 * x.numel()  # float32 has only so many numbers around 0


def test_uniform_is_a_function_of_the_clock(seed: int) -> None:
    clocks = range(0, 16 * 20_000, 16)
    values = torch.tensor([draws(seed, torch.arange(1), clock=c).uniform("mix") for c in clocks], dtype=torch.float64)
    assert bool(((values >= 0) & (values < 1)).all())
    for power in (1, 2, 3):
        variance = 1 / (2 * power + 1) - 1 / (power + 1) ** 2
        assert abs(float(values.pow(power).mean()) - 1 / (power + 1)) < 5 * (variance / len(values)) ** 0.5
    centred = (values - 0.5) * 12**0.5
    assert abs(float((centred[1:] * centred[:-1]).mean())) < 5 / len(values) ** 0.5


def test_uniform_is_the_same_on_every_rank_and_else_differs(seed: int) -> None:
    base = draws(seed, torch.arange(0, 8, 2), clock=64)
    value = base.uniform("mix")
    assert replace(base, positions=torch.arange(1, 8, 2)).uniform("mix") == value
    others = [
        base.uniform("crossover"),
        *(
            replace(base, **{k: v}).uniform("mix")
            for k, v in {"phase": "G", "repeat": 1, "seed": seed + 1, "clock": 72}.items()
        ),
    ]
    assert len({value, *others}) == 6


# -- recorded draws --------------------------------------------------------------------------------------------------


def test_recorded_draws_hand_out_what_they_were_given() -> None:
    z = torch.randn(4, 3)
    recorded = RecordedDraws({"z": z, "mix": 0.25})
    assert torch.equal(recorded.normal("z", (3,)), z)
    assert torch.equal(recorded.normal("z", (3,), 2), z[:2])
    assert recorded.uniform("mix") == 0.25
    with pytest.raises(ValueError, match="'z'"):
        recorded.normal("z", (4,))
    with pytest.raises(ValueError, match="'mix'"):
        recorded.normal("mix", (3,))
    with pytest.raises(KeyError):
        recorded.normal("noise", (3,))


# -- coins -----------------------------------------------------------------------------------------------------------


def test_coins_fall_as_often_as_they_should_and_each_on_its_own(seed: int) -> None:
    p, shape = float(torch.rand(())), (3, 37)
    coins = draws(seed, torch.arange(9000)).bernoulli("keep", p, shape)
    assert coins.shape == (9000, *shape)
    assert coins.dtype == torch.bool
    assert abs(float(coins.double().mean()) - p) < 5 * (p * (1 - p) / coins.numel()) ** 0.5 + 2**-16
    centred = coins.double().flatten() - p
    for lag in (1, 2, 3, 4, 111):
        correlation = float((centred[lag:] * centred[:-lag]).mean()) / (p * (1 - p))
        assert abs(correlation) < 5 / len(centred) ** 0.5


def test_coins_are_keyed_as_every_draw(seed: int) -> None:
    positions = torch.arange(8) + seed
    whole = draws(seed, positions).bernoulli("keep", 0.5, (64,))
    for rank in range(2):
        assert torch.equal(draws(seed, positions[rank::2]).bernoulli("keep", 0.5, (64,)), whole[rank::2])
    assert torch.equal(draws(seed, positions).bernoulli("keep", 0.5, (64,), 3), whole[:3])
    for other in (draws(seed + 1, positions), draws(seed, positions, repeat=1), draws(seed, positions, phase="E")):
        assert not torch.equal(other.bernoulli("keep", 0.5, (64,)), whole)
    assert draws(seed, positions).bernoulli("keep", 1.0, (64,)).all()
    assert not draws(seed, positions).bernoulli("keep", 0.0, (64,)).any()
    assert torch.equal(RecordedDraws({"keep": whole}).bernoulli("keep", 0.5, (64,)), whole)
