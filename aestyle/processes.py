"""Which of a training's processes this is, known before anything of it is built (and without torch)."""

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
