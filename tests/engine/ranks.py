"""Two processes of one module, as torchrun would start them."""

import os
import socket
import subprocess
import sys
from pathlib import Path


def run_on_two_ranks(module: str, *args: str | Path, timeout: float = 300) -> tuple[list[int], list[str]]:
    """Runs ``python -m <module> <args>`` as both ranks of a group; gives back their exit codes and what they said."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    environment = {**os.environ, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2"}
    environment |= {"TORCHELASTIC_RUN_ID": "test", "LOCAL_WORLD_SIZE": "2"}
    ranks = [
        subprocess.Popen(
            [sys.executable, "-m", module, *map(str, args)],
            env={**environment, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        outputs = [process.communicate(timeout=timeout)[0] for process in ranks]
    finally:
        for process in ranks:
            process.kill()
    return [process.returncode for process in ranks], outputs


def check_on_two_ranks(module: str, *args: str | Path) -> None:
    """Runs ``python -m <module> <args>`` as both ranks of a group; each of them must end with ``all checks passed``."""
    codes, outputs = run_on_two_ranks(module, *args)
    assert codes == [0, 0], "\n".join(outputs)
    assert all("all checks passed" in output for output in outputs)
