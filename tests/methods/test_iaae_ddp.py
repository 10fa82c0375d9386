"""The AAE family on two ranks, in one launch."""

from pathlib import Path

import pytest
import torch

from tests.engine.ranks import check_on_two_ranks
from tests.methods.iaae_worker import METHODS, trained


@pytest.mark.ddp
@pytest.mark.slow
def test_checks_inside_two_processes(tmp_path: Path) -> None:
    torch.save({options: trained(options).state_dict() for options in METHODS}, tmp_path / "one.pt")
    check_on_two_ranks("tests.methods.iaae_worker", tmp_path / "one.pt")
