import random
from itertools import islice

import pytest

from aestyle.data.sampler import InfiniteBatchSampler
from aestyle.errors import UserError

Drawn = list[tuple[int, int]]


def sizes() -> dict[str, int]:
    return {
        "num_images": random.randint(1, 30),
        "batch_size": 4 * random.randint(1, 5),
        "repeats": random.randint(1, 3),
        "seed": random.randrange(2**40),
    }


def take(iterations: int, **arguments: int) -> list[Drawn]:
    return list(islice(InfiniteBatchSampler(**arguments), iterations))


def flat(batches: list[Drawn]) -> Drawn:
    return [drawn for batch in batches for drawn in batch]


@pytest.mark.parametrize("_", range(10))
def test_positions_count_up_and_every_epoch_is_a_permutation(_: int) -> None:
    given = sizes()
    stream = flat(take(20, **given))
    assert [position for position, _ in stream] == list(range(20 * given["repeats"] * given["batch_size"]))
    n = given["num_images"]
    for start in range(0, len(stream) - n + 1, n):
        assert sorted(index for _, index in stream[start : start + n]) == list(range(n))


def test_epochs_and_seeds_differ() -> None:
    epochs = [tuple(InfiniteBatchSampler(50, 5, seed=seed).permutation(epoch)) for seed in (0, 1) for epoch in (0, 1)]
    assert len({tuple(map(int, epoch)) for epoch in epochs}) == 4


@pytest.mark.parametrize("_", range(10))
def test_a_stream_entered_anywhere_goes_on_alike(_: int) -> None:
    given = sizes()
    whole = take(12, **given)
    done = random.randint(0, 11)
    assert take(12 - done, **given, start_image=done * given["batch_size"]) == whole[done:]


@pytest.mark.parametrize("_", range(10))
@pytest.mark.parametrize("world_size", [2, 4])
def test_the_union_over_ranks_is_the_stream_of_one_process(world_size: int, _: int) -> None:
    given = sizes()
    start = random.randint(0, 9) * given["batch_size"]
    one = take(6, **given, start_image=start)
    ranks = [take(6, **given, start_image=start, rank=rank, world_size=world_size) for rank in range(world_size)]
    for iteration, whole in enumerate(one):
        assert sorted(flat([rank[iteration] for rank in ranks])) == whole
        assert {len(rank[iteration]) for rank in ranks} == {len(whole) // world_size}


def test_sub_batches_lie_one_after_the_other_and_interleaved_over_ranks() -> None:
    (drawn,) = take(1, num_images=100, batch_size=4, repeats=2, seed=0, start_image=8, rank=1, world_size=2)
    assert [position for position, _ in drawn] == [17, 19, 21, 23]


@pytest.mark.parametrize(
    ("batch_size", "world_size", "fix"),
    [(10, 4, "use batch_size=8 or batch_size=12"), (2, 4, "use batch_size=4"), (0, 1, "use batch_size=1")],
)
def test_batches_that_cannot_be_shared_are_refused(batch_size: int, world_size: int, fix: str) -> None:
    with pytest.raises(UserError, match=rf"^batch_size={batch_size} .*{fix}$"):
        InfiniteBatchSampler(10, batch_size, world_size=world_size)


def test_no_pictures_are_refused() -> None:
    with pytest.raises(UserError, match="no pictures"):
        InfiniteBatchSampler(0, 4)
