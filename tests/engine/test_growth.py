"""Phase, alpha and batch size at and around every boundary, as functions of the images seen."""

import math
import random
from itertools import islice

import pytest

from aestyle.data.sampler import InfiniteBatchSampler
from aestyle.engine.growth import Growth, Stage
from aestyle.engine.schedule import step_at
from aestyle.errors import UserError

N = 2000
GROWTH = Growth(32, stage_kimg=N / 1000, batch_sizes={4: 48, 8: 40, 32: 16})
SIZES = {4: 48, 8: 40, 16: 24, 32: 16}
"""With 24 as the run's batch size."""


@pytest.mark.parametrize(
    ("images_seen", "phase", "alpha"),
    [
        (0, 0, 0.0), (1, 0, 1 / 1000), (N // 2 - 1, 0, 0.999), (N // 2, 0, 1.0), (N - 1, 0, 1.0),
        (N, 1, 0.0), (N + 1, 1, 0.001), (N + N // 2 - 1, 1, 0.999), (N + N // 2, 1, 1.0), (2 * N - 1, 1, 1.0),
        (2 * N, 2, 0.0), (3 * N - 1, 2, 1.0), (3 * N, 3, 0.0), (3 * N + N // 4, 3, 0.5), (3 * N + N // 2, 3, 1.0),
        (4 * N, 3, 1.0), (10 * N + 7, 3, 1.0),
    ],
)  # fmt: skip
def test_phase_and_alpha(images_seen: int, phase: int, alpha: float) -> None:
    """The table of checks.md (i = 0, N/2, N, 1.5 N), and what lies one image beside."""
    assert GROWTH.at(images_seen) == Stage(phase, pytest.approx(alpha, abs=1e-12))
    assert GROWTH.at(images_seen).resolution == 4 * 2**phase
    assert GROWTH.at(images_seen).stable == (alpha == 1)


def test_without_growth_all_is_there_from_the_start() -> None:
    growth = Growth(32, stage_kimg=2.0, progressive=False, batch_sizes=GROWTH.batch_sizes)
    assert all(growth.at(images_seen) == Stage(3, 1.0) for images_seen in (0, 1, N, 7 * N))
    assert growth.batches(24) == {0: 16}


@pytest.mark.parametrize("world_size", [1, 2])
@pytest.mark.parametrize("repeats", [1, 3])
def test_batches_follow_the_phase_also_when_entered_anywhere(world_size: int, repeats: int) -> None:
    """Each iteration has the size of the phase in which it begins; no picture is left out, none comes twice."""

    def stream(start: int, rank: int) -> list[list[tuple[int, int]]]:
        sampler = InfiniteBatchSampler(1000, GROWTH.batches(24), repeats, 5, start, rank, world_size)
        return list(islice(sampler, 300))

    ranks = [stream(0, rank) for rank in range(world_size)]
    begins, images_seen = [], 0
    for iteration in zip(*ranks, strict=True):
        size = SIZES[GROWTH.at(images_seen).resolution]
        assert {len(part) for part in iteration} == {repeats * size // world_size}
        drawn = sorted(position for part in iteration for position, _ in part)
        assert drawn == list(range(images_seen * repeats, (images_seen + size) * repeats))
        begins.append(images_seen)
        images_seen += size
    assert images_seen > 3 * N
    for at in random.sample(range(250), 8):
        assert stream(begins[at], world_size - 1)[: 300 - at] == ranks[-1][at:]


def test_a_size_that_processes_cannot_share_is_refused_at_once() -> None:
    with pytest.raises(UserError, match="batch_size=15 cannot be shared by 2"):
        InfiniteBatchSampler(100, {0: 16, 5000: 15}, world_size=2)


@pytest.mark.parametrize("options", [{"stage_kimg": 0}, {"stage_kimg": -1}, {"stage_kimg": 1, "batch_sizes": {8: 0}}])
def test_impossible_growth_is_refused(options: dict[str, float]) -> None:
    with pytest.raises(UserError, match=r"method\.growth\."):
        Growth(32, **options)  # type: ignore[arg-type]


def test_steps() -> None:
    steps = {1.5: 0.5, 0.25: 2.0}
    values = {0: 7.0, 249: 7.0, 250: 2.0, 1499: 2.0, 1500: 0.5, 10**9: 0.5}
    assert all(step_at(steps, images_seen, before=7.0) == value for images_seen, value in values.items())
    assert step_at({}, 5, before=math.pi) == math.pi
