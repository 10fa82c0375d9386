import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from aestyle.metrics.shares import Share


@pytest.mark.parametrize(("count", "n"), [(1, 5), (2, 5), (3, 2), (4, 8)])
def test_shares_are_disjoint_complete_and_come_back_in_order(count: int, n: int, monkeypatch) -> None:
    batches = [torch.randn(int(torch.randint(1, 4, ())), 2) for _ in range(n)]
    shares = [Share(rank, count) for rank in range(count)]
    monkeypatch.setattr(Share, "exchange", lambda self, mine: [list(share.of(batches)) for share in shares])
    assert torch.equal(shares[0].gather(shares[0].of(batches)), torch.cat(batches))


@pytest.mark.ddp
def test_two_processes_give_the_figures_of_one(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    environment = {**os.environ, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2"}
    ranks = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.metrics.share_worker", str(tmp_path)],
            env={**environment, "RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        outputs = [process.communicate(timeout=120)[0] for process in ranks]
    finally:
        for process in ranks:
            process.kill()
    assert [process.returncode for process in ranks] == [0, 0], "\n".join(outputs)
    assert all("all checks passed" in output for output in outputs)
