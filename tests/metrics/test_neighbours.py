"""The most similar pictures."""

import pytest
import torch

from aestyle.errors import UserError
from aestyle.metrics.neighbours import most_similar


def test_less_disturbed_copies_come_first() -> None:
    x = torch.rand(3, 3, 16, 16) * 2 - 1
    strength = torch.tensor([0.0, 0.1, 0.3, 0.6]).view(1, 4, 1, 1, 1)
    copies = (x[:, None] + strength * torch.randn(3, 4, 3, 16, 16)).clamp(-1, 1).flatten(0, 1)
    order = torch.randperm(12)
    expected = torch.stack([torch.stack([(order == 4 * i + j).nonzero()[0, 0] for j in range(3)]) for i in range(3)])
    for batch_size in (5, 100):
        assert torch.equal(most_similar(x, copies[order], 3, batch_size=batch_size), expected)


def test_only_the_centre_counts() -> None:
    x, others = torch.rand(2, 1, 16, 16), torch.rand(5, 1, 16, 16)
    others[3, :, 4:12, 4:12] = x[0, :, 4:12, 4:12]
    assert most_similar(x, others, 1, centre=0.5)[0] == 3


@pytest.mark.parametrize(("options", "message"), [({"count": 6}, "count=6"), ({"centre": 0}, "centre=0")])
def test_impossible_options(options, message: str) -> None:
    with pytest.raises(UserError, match=message):
        most_similar(torch.rand(1, 1, 16, 16), torch.rand(5, 1, 16, 16), **options)
