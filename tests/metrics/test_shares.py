from pathlib import Path

import pytest
import torch

from aestyle.metrics.shares import Share
from tests.engine.ranks import check_on_two_ranks


@pytest.mark.parametrize(("count", "n"), [(1, 5), (2, 5), (3, 2), (4, 8)])
def test_shares_are_disjoint_complete_and_come_back_in_order(count: int, n: int, monkeypatch) -> None:
    batches = [torch.randn(int(torch.randint(1, 4, ())), 2) for _ in range(n)]
    shares = [Share(rank, count) for rank in range(count)]
    monkeypatch.setattr(Share, "exchange", lambda self, mine: [list(share.of(batches)) for share in shares])
    assert torch.equal(shares[0].gather(shares[0].of(batches)), torch.cat(batches))


@pytest.mark.ddp
def test_two_processes_give_the_figures_of_one(tmp_path: Path) -> None:
    check_on_two_ranks("tests.metrics.share_worker", tmp_path)
