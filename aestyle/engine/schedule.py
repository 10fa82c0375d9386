"""Values that change at given times, as pure functions of the images seen."""

from collections.abc import Mapping


def step_at(steps: Mapping[float, float], images_seen: int, before: float) -> float:
    """The value of a table of steps.

    Args:
        steps: for thousand images from which on a value holds, that value.
        images_seen: the clock.
        before: what holds before the first step.
    """
    reached = [kimg for kimg in steps if round(kimg * 1000) <= images_seen]
    return steps[max(reached)] if reached else before
