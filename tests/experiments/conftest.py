"""A study without results, and numbers to record in it."""

from pathlib import Path

import numpy as np
import pytest

from aestyle.studies.showing import Options
from tests.experiments.recorded import new_study


@pytest.fixture
def study(tmp_path: Path) -> Options:
    return new_study(tmp_path / "study")


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng()
