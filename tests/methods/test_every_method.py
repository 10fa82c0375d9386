"""The shared tester: what every method in conf/method must pass."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from hydra.utils import instantiate
from torch import Tensor

from aestyle.engine.draws import Draws, RecordedDraws
from aestyle.engine.module import PhasedModule
from aestyle.engine.phases import Phase, Step
from aestyle.errors import TrainingAborted
from aestyle.protocol import Autoencoder
from tests.tiny import METHODS, REPRESENTATIVE, STYLEGANS, compose_tiny, differences, slow_but

ADA = "method/augment=ada method.augment.start=0.5 method.augment.speed_kimg=0.1 method.augment.interval=1"
"""Augmentation that is there from the start and changes in every iteration."""

OPTIONS = {
    **{f"{name}-ada": f"{name} {ADA}" for name in STYLEGANS},
    "stylegan2-nda": "stylegan2 method/nda=jigsaw",
    "joint_ae-all": "joint_ae method/nda=jigsaw method/code_critic=factor method.weights.latent=1 method.e_steps=2",
    "joint_ae-frozen": "joint_ae method.joint=false method.beta=null",
    "joint_ae-matrix": "joint_ae method/generator=overparam method/encoder=matrix method.weights.latent=1",
    "decoupled_ae-joint": "decoupled_ae method.joint=true method.e_steps=2 method/encoder=w",
    "pioneer-balanced": "pioneer experiment=balanced_pioneer scale=cpu method.averaged=[]",
    "alae-official": "alae method/discriminator=latent_official method.train_mapping=true method/encoder=w_plus",
    "iaae-legacy": "iaae method/variants=[kld_loss,sigma_fixed] method.kld.legacy=true method/backbone=conv",
    "iaae-remedies": "iaae method/variants=[feature,sigma_floor,posterior_kl] method.feature.freeze_encoder=true",
}
"""Methods with options that change their phases."""

CASES = {name: name for name in METHODS} | OPTIONS

pytestmark = pytest.mark.parametrize("name", slow_but([*REPRESENTATIVE, "joint_ae-ada"], CASES))


def make(name: str, *overrides: str, seed: int = 0) -> PhasedModule:
    """The method, tiny, with plain optimizers in the place of Lightning's; ``name`` may be followed by overrides."""
    torch.manual_seed(seed)
    method: PhasedModule = instantiate(compose_tiny(*f"method={name}".split(), *overrides).method, _convert_="all")
    for key, p in method.named_parameters():
        if key.endswith("noise_strength"):
            p.data.fill_(0.1)  # noise matters from the start
    optimizers = method.configure_optimizers()
    method.optimizers = lambda: optimizers  # type: ignore[method-assign,assignment,return-value]
    method.manual_backward = lambda loss: loss.backward()  # type: ignore[method-assign]
    return method


def batch(method: PhasedModule, seed: int = 0, size: int = 8) -> dict[str, Tensor]:
    shape = (size * method.batches_per_iteration, method.channels, method.resolution, method.resolution)  # type: ignore[attr-defined]
    return {"image": torch.rand(shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1}


def flags(method: PhasedModule) -> dict[str, bool]:
    return {name: p.requires_grad for name, p in method.named_parameters()}


def state(method: PhasedModule) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in method.state_dict().items()}


def each_phase(method: PhasedModule) -> Iterator[tuple[Phase, Step]]:
    images = batch(method)["image"]
    for phase in method.phases():
        yield phase, Step(images[:8], method.draws(phase.name, 0, images[:8]))


def test_each_phase_changes_only_its_own_networks(name: str) -> None:
    method = make(name)
    trained: set[str] = set()
    for phase, step in each_phase(method):
        before, saved_flags = state(method), flags(method)
        method.run_phase(phase, step)
        changed = {key.split(".")[1] for key in differences(before, state(method))}
        networks = changed - {"path_mean", "augment", "rec_augment"}
        assert networks == set(phase.networks), phase.name
        assert flags(method) == saved_flags
        assert all(p.grad is None for p in method.parameters())
        trained |= networks
    assert trained | set(method.frozen) == set(method.networks)


def test_phase_restores_flags_after_an_error(name: str) -> None:
    method = make(name)
    saved = flags(method)

    def broken(step: Step) -> Tensor:
        raise RuntimeError("planted")

    for phase in method.phases():
        with pytest.raises(RuntimeError, match="planted"):
            method.run_phase(Phase(phase.name, phase.networks, broken), next(each_phase(method))[1])
        assert flags(method) == saved


def test_frozen_parameters_stay_frozen(name: str) -> None:
    method = make(name)
    frozen = [p for net in method.networks.values() for p in list(net.parameters())[: len(list(net.parameters())) // 2]]
    for p in frozen:
        p.requires_grad_(False)
    before = [p.clone() for p in frozen]
    method.training_step(batch(method), 0)
    assert all(torch.equal(p, q) for p, q in zip(frozen, before, strict=True))
    assert not any(p.requires_grad for p in frozen)


class Recorder:
    """Passes draws on and keeps them."""

    def __init__(self, draws: Draws) -> None:
        self.draws, self.kept = draws, {}  # type: ignore[var-annotated]

    def normal(self, name: str, shape: Any, count: int | None = None) -> Tensor:
        self.kept[name] = self.draws.normal(name, shape, count)
        return self.kept[name]

    def uniforms(self, name: str, shape: Any, count: int | None = None) -> Tensor:
        self.kept[name] = self.draws.uniforms(name, shape, count)
        return self.kept[name]

    def bernoulli(self, name: str, p: float, shape: Any, count: int | None = None) -> Tensor:
        self.kept[name] = self.draws.bernoulli(name, p, shape, count)
        return self.kept[name]

    def uniform(self, name: str) -> float:
        self.kept[name] = self.draws.uniform(name)
        return self.kept[name]


def test_iteration_from_recorded_draws(name: str) -> None:
    """Draws enter through one door: replaying them repeats the iteration bit by bit, whatever the seed."""
    first, second, other = make(name), make(name, "seed=1"), make(name, "seed=1")
    record: dict[tuple[str, int], Recorder] = {}
    original = first.draws

    def recording(phase: str, repeat: int, images: Tensor) -> Draws:
        return record.setdefault((phase, repeat), Recorder(original(phase, repeat, images)))

    first.draws = recording  # type: ignore[method-assign]
    second.draws = lambda phase, repeat, images: RecordedDraws(record[phase, repeat].kept)  # type: ignore[method-assign]
    for method in (first, second, other):
        method.training_step(batch(method), 0)
    assert not differences(first.state_dict(), second.state_dict())
    assert differences(first.state_dict(), other.state_dict())


def test_draws_differ_between_phases_and_iterations(name: str) -> None:
    method = make(name)
    images = batch(method)["image"][:8]
    drawn = [method.draws(phase.name, 0, images).normal("z", (6,)) for phase in method.phases()]
    method.images_seen = 8
    drawn += [method.draws(phase.name, 0, images).normal("z", (6,)) for phase in method.phases()]
    assert all(not torch.equal(a, b) for i, a in enumerate(drawn) for b in drawn[:i])


def test_global_generator_is_left_alone(name: str) -> None:
    method = make(name)
    before = torch.get_rng_state()
    method.training_step(batch(method), 0)
    method.sample(2)
    assert torch.equal(before, torch.get_rng_state())


def test_lazy_phases_run_in_their_iterations(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    method, ran = make(name), []
    monkeypatch.setattr(method, "run_phase", lambda phase, step: ran.append((method.batches_seen, phase.name)))
    for _ in range(33):
        method.training_step(batch(method), 0)
    expected = [(i, p.name) for i in range(33) for p in method.phases() if i % p.every == 0 for _ in range(p.repeat)]
    assert ran == expected
    assert method.images_seen == 33 * 8


@pytest.mark.parametrize("poison", [float("nan"), float("inf")])
def test_poisoned_batch_never_reaches_the_weights(name: str, poison: float) -> None:
    method = make(name)
    poisoned = batch(method)
    poisoned["image"][0, 0, 0, 0] = poison
    method.training_step(poisoned, 0)
    assert method.bad_steps > 0
    assert all(torch.isfinite(p).all() for network in method.networks.values() for p in network.parameters())


def test_too_many_bad_steps_in_a_row_abort(name: str) -> None:
    method = make(name, "method.max_bad_steps=3")
    phase, step = next(each_phase(method))
    bad = Phase(phase.name, phase.networks, lambda step: phase.loss(step) * float("nan"))
    method.run_phase(bad, step)
    method.run_phase(bad, step)
    method.run_phase(phase, step)  # a good one starts the count anew
    method.run_phase(bad, step)
    for other in method.phases()[1:][-1:]:
        method.run_phase(other, step)  # a good one of another phase does not
    method.run_phase(bad, step)
    with pytest.raises(TrainingAborted, match=f"phase {phase.name}.*3 times in a row"):
        method.run_phase(bad, step)


def test_recorded_statistics_hold_no_graph(name: str) -> None:
    method = make(name)
    method.training_step(batch(method), 0)
    assert all(isinstance(value, float) for value in method.batch_stats.values())
    assert all(not v.requires_grad for values in method._recorded.values() for v in values)
    if "discriminator" in method.networks:
        assert "score/real" in method.batch_stats
        assert {"score/fake", "score/rec"} & method.batch_stats.keys()
    assert any(key.startswith("loss/") for key in method.batch_stats)


def test_seen_from_outside(name: str) -> None:
    """The shared protocol: shapes, prefix-stable samples, EMA networks, and a model that nothing changes."""
    method = make(name)
    for _ in range(3):
        method.training_step(batch(method), 0)
    assert isinstance(method, Autoencoder)
    before, modes = state(method), [m.training for m in method.modules()]
    samples = method.sample(5, seed=3)
    assert samples.shape == (5, method.channels, method.resolution, method.resolution)
    assert torch.allclose(samples[:2], method.sample(2, seed=3), atol=1e-6)
    assert not torch.allclose(samples, method.sample(5, seed=4))
    if method.has_encoder:
        x = batch(method)["image"][:4]
        rec = method.decode(method.encode(x))
        assert rec.shape == x.shape
        assert torch.allclose(rec[:1], method.decode(method.encode(x[:1])), atol=1e-5)
    assert not differences(before, state(method))
    assert modes == [m.training for m in method.modules()]


def test_outside_looks_at_averaged_networks(name: str) -> None:
    method = make(name)
    before = method.sample(2)
    for network in method.networks.values():
        for p in network.parameters():
            p.data.add_(1.0)
    assert torch.equal(before, method.sample(2))
