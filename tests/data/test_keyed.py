import random

from aestyle.data.keyed import keyed_bits


def test_is_the_same_on_every_machine() -> None:
    assert keyed_bits(0, "flip", 0) == 4231541277350529429
    assert keyed_bits(7, "order", 3) == 2082826325958069479


def test_parts_do_not_run_together() -> None:
    assert keyed_bits("a", "b") != keyed_bits("ab")
    assert keyed_bits(1, 23) != keyed_bits(12, 3)


def test_single_bits_are_fair() -> None:
    seed = random.randrange(2**32)
    ones = sum(keyed_bits(seed, "flip", position) & 1 for position in range(4000))
    assert abs(ones - 2000) < 200, seed  # more than six standard deviations
