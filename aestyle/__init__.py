"""aestyle: style-based autoencoders, trained, compared and used.

``aestyle.load("runs/demo")`` gives a trained model with ``encode``, ``decode`` and ``sample``. Everything heavy is
imported on first use, so that the command line answers at once.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aestyle.studies.loading import load

__version__ = "0.1.0"
__all__ = ["__version__", "load"]


def __getattr__(name: str) -> Any:
    if name == "load":
        from aestyle.studies.loading import load

        return load
    raise AttributeError(f"module 'aestyle' has no attribute {name!r}")
