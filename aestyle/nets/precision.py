"""What stays in full precision inside of a network that runs under autocast."""

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor

P = ParamSpec("P")
R = TypeVar("R")


def full_precision(function: Callable[P, R]) -> Callable[P, R]:
    """Keeps autocast out of a function or a module's ``forward``: sums of squares, statistics, small matrix products.

    Under autocast, tensors narrower than float32 among the positional arguments are widened first. Without autocast the
    function is called as it is.
    """

    @wraps(function)
    def wide(*args: P.args, **kwargs: P.kwargs) -> R:
        kind = next(arg.device.type for arg in args if isinstance(arg, Tensor))
        if not autocasts(kind):
            return function(*args, **kwargs)
        widened: tuple[Any, ...] = tuple(widen(arg) if isinstance(arg, Tensor) else arg for arg in args)
        with torch.autocast(kind, enabled=False):
            return function(*widened, **kwargs)

    return wide


def autocasts(kind: str) -> bool:
    """Whether autocast is on for this kind of device; some, as ``meta``, know none."""
    return torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind)


def widen(x: Tensor) -> Tensor:
    """``x`` in at least float32, if it holds floating-point numbers."""
    return x.to(torch.promote_types(x.dtype, torch.float32)) if x.is_floating_point() else x
