"""One thread: the same sums on every machine, and no spinning against a second process of the same test.

Random inputs are those of the test's name and of a seed, so that a failure can be repeated: ``AESTYLE_TEST_SEED=1 make
test`` takes others.
"""

import os

os.environ["OMP_NUM_THREADS"] = "1"
os.environ.setdefault("WANDB_MODE", "offline")
os.environ.setdefault("MPLBACKEND", "Agg")

import random
import zlib

import numpy as np
import pytest
import torch

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def repeatable(request: pytest.FixtureRequest) -> None:
    """Seeds every generator that a test may draw from."""
    seed = zlib.crc32(f"{os.environ.get('AESTYLE_TEST_SEED', 0)} {request.node.nodeid}".encode())
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
