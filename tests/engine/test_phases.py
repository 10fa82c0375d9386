import pytest
import torch
from torch import nn

from aestyle.engine.phases import Lazy, adam, only_trainable


@pytest.fixture(params=range(3), autouse=True)
def seed(request: pytest.FixtureRequest) -> None:
    torch.manual_seed(request.param)


@pytest.fixture
def networks() -> dict[str, nn.Module]:
    """Three networks with some parameters frozen beforehand."""
    networks: dict[str, nn.Module] = {name: nn.Sequential(*(nn.Linear(2, 2) for _ in range(4))) for name in "FGD"}
    for network in networks.values():
        for p in network.parameters():
            p.requires_grad_(bool(torch.rand(()) < 0.7))
    return networks


def flags(networks: dict[str, nn.Module]) -> list[bool]:
    return [p.requires_grad for network in networks.values() for p in network.parameters()]


def test_only_the_named_networks_take_gradients(networks: dict[str, nn.Module]) -> None:
    frozen = {id(p) for n in networks.values() for p in n.parameters() if not p.requires_grad}
    before = flags(networks)
    with only_trainable(networks, ("F", "G")):
        for name, network in networks.items():
            for p in network.parameters():
                assert p.requires_grad == (name in "FG" and id(p) not in frozen)
    assert flags(networks) == before


def test_flags_come_back_after_an_error(networks: dict[str, nn.Module]) -> None:
    before = flags(networks)
    with pytest.raises(RuntimeError, match="out of memory"), only_trainable(networks, ("D",)):
        raise RuntimeError("out of memory")
    assert flags(networks) == before


def test_parts_shared_by_two_networks_are_trained_by_either() -> None:
    """PIONEER-like methods may share layers: a layer of a named network is trainable wherever else it sits."""
    shared = nn.Linear(2, 2)
    networks: dict[str, nn.Module] = {"E": nn.Sequential(shared, nn.Linear(2, 2)), "D": nn.Sequential(shared)}
    with only_trainable(networks, ("D",)):
        assert all(p.requires_grad for p in shared.parameters())
        assert not any(p.requires_grad for p in networks["E"][1].parameters())  # type: ignore[index]
    assert all(flags(networks))


@pytest.mark.parametrize(
    ("lazy", "lr", "beta2"),
    [(None, 0.002, 0.99), (Lazy(10, 16), 0.00188235, 0.990585), (Lazy(2, 4), 0.0016, 0.991992)],
)
def test_adam_of_the_paper(lazy: Lazy | None, lr: float, beta2: float) -> None:
    (group,) = adam([nn.Parameter(torch.randn(2))], 0.002, lazy=lazy).param_groups
    assert group["lr"] == pytest.approx(lr, rel=1e-5)
    assert group["betas"] == (0.0, pytest.approx(beta2, abs=1e-6))
    assert group["eps"] == 1e-8


def test_lazy_correction() -> None:
    lr, beta1, beta2 = torch.rand(3).tolist()
    lazy = Lazy(weight=float(torch.rand(())), every=int(torch.randint(1, 33, ())))
    c = lazy.every / (lazy.every + 1)
    (group,) = adam([nn.Parameter(torch.randn(2))], lr, (beta1, beta2), eps=1e-6, lazy=lazy).param_groups
    assert group["lr"] == pytest.approx(lr * c)
    assert group["betas"] == pytest.approx((beta1**c, beta2**c))
    assert group["eps"] == 1e-6
    # every + 1 corrected steps decay as much as `every` plain ones
    assert group["betas"][1] ** (lazy.every + 1) == pytest.approx(beta2**lazy.every)
    assert lazy.lazy_weight == pytest.approx(lazy.weight * lazy.every)


def test_adam_takes_the_textbook_step() -> None:
    lr, beta2 = float(torch.rand(())) / 10, 0.9 + float(torch.rand(())) / 20
    p = nn.Parameter(torch.randn(5, dtype=torch.float64))
    optimizer, value, second = adam([p], lr, (0.0, beta2)), p.detach().clone(), torch.zeros(5, dtype=torch.float64)
    for step in range(1, 6):
        p.grad = torch.randn(5, dtype=torch.float64)
        second = beta2 * second + (1 - beta2) * p.grad.square()
        value = value - lr * p.grad / ((second / (1 - beta2**step)).sqrt() + 1e-8)
        optimizer.step()
    torch.testing.assert_close(p.detach(), value)
