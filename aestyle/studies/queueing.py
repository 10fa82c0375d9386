"""A training that a signal has stopped goes back to whoever runs the queue."""

import os
import signal
import subprocess
import sys
from typing import Any, NoReturn

TIMEOUT = 60
"""Seconds that SLURM gets for an answer."""


def hand_over(number: int, handler: Any, is_first: bool) -> NoReturn:
    """Ends the process once the training is saved.

    The signal is handed on to the handler that was there before the training, as submitit's is, which puts the job into
    its queue again. Without one, SIGUSR1 under SLURM requeues the job; the exit code is then 0, for nothing is left to
    do for a batch script.

    Args:
        number: of the signal.
        handler: what was there before the training.
        is_first: whether this is the first process.
    """
    if callable(handler) and handler is not signal.default_int_handler:
        handler(number, None)  # submitit's ends the process here
    elif is_first and number == signal.SIGUSR1 and requeued():
        sys.exit(0)
    # Only the first process answers with the signal: Lightning kills it when another one ends with an error first.
    sys.exit(128 + number if is_first else 0)


def requeued() -> bool:
    """Asks SLURM to start this job once more; whether it will. Not for interactive jobs, as Lightning sees it."""
    job = os.environ.get("SLURM_JOB_ID")
    if job is None or os.environ.get("SLURM_JOB_NAME") in ("bash", "interactive"):
        return False
    array, task = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    job = f"{array}_{task}" if array and task else job
    try:
        subprocess.run(["scontrol", "requeue", job], check=True, capture_output=True, text=True, timeout=TIMEOUT)
    except (OSError, subprocess.SubprocessError) as error:
        reason = (getattr(error, "stderr", None) or str(error)).strip()
        print(f"SLURM does not take job {job} back: {reason}", flush=True)
        return False
    print(f"SLURM starts job {job} again", flush=True)
    return True
