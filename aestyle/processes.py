"""Which of a training's processes this is, known before anything of it is built (and without torch); its memory."""

import ctypes
import os

RANKS = ("RANK", "NODE_RANK", "LOCAL_RANK", "SLURM_PROCID")
"""What torchrun, Lightning and srun set; the first process has 0 in all that are set."""

RANKS_HERE = ("LOCAL_RANK", "SLURM_LOCALID")


def is_first() -> bool:
    """Whether this is the first process of all, or the only one."""
    return all(os.environ.get(name, "0") == "0" for name in RANKS)


def is_first_here() -> bool:
    """Whether this is the first process on its machine: what may go wrong on one machine alone is told by each."""
    return all(os.environ.get(name, "0") == "0" for name in RANKS_HERE)


def keep_freed_memory() -> None:
    """Makes glibc keep what is freed for what is asked for next; other C libraries are left as they are.

    By default it gives large blocks back to the system, which clears every page of them anew: activations come and go
    in every iteration, and up to half of a step's time on the CPU is spent on that (``benchmarks/freed_memory.py``).
    What a process holds then stays at its peak. Whoever has set ``MALLOC_...`` in the environment is obeyed.
    """
    trim_threshold, mmap_max = -1, -4  # mallopt's names for them, from malloc.h
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if os.name == "posix" else None
    if mallopt is not None and not any(name.startswith("MALLOC_") for name in os.environ):
        mallopt(trim_threshold, -1)  # never
        mallopt(mmap_max, 0)  # no block has pages of its own
