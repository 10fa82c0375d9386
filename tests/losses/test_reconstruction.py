import numpy as np
import pytest
import torch

from aestyle.losses.reconstruction import PIXEL_LOSSES


@pytest.mark.parametrize("seed", range(3))
def test_pixel_losses(seed: int) -> None:
    torch.manual_seed(seed)
    n, c, h, w = (int(torch.randint(1, 6, ())) for _ in range(4))
    x, rec = torch.randn(2, n, c, h, w, dtype=torch.float64)
    error = (x - rec).numpy()
    expected = {
        "mse": (error**2).mean(),
        "l1": np.abs(error).mean(),
        "l2norm": np.mean([np.linalg.norm(e.ravel()) for e in error]),
    }
    assert set(PIXEL_LOSSES) == set(expected)
    for name, value in expected.items():
        assert float(PIXEL_LOSSES[name](x, rec)) == pytest.approx(value)
        assert float(PIXEL_LOSSES[name](x, x)) == 0.0
