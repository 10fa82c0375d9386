"""Mixed precision, the loss scale of float16, recomputed and compiled passes: what they change and what they leave."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from aestyle.engine.checkpoint import SafeCheckpointIO
from aestyle.engine.module import PhasedModule
from aestyle.engine.passes import Passes, set_tf32
from aestyle.engine.phases import Phase
from aestyle.engine.scaling import PhaseScaling
from aestyle.errors import TrainingAborted
from aestyle.nets.convolution import differentiated_twice, is_differentiated_twice
from aestyle.nets.discriminator import Discriminator, ResidualBlock
from aestyle.nets.generator import Synthesis
from aestyle.nets.layers import EqualizedConv2d, EqualizedLinear
from aestyle.nets.precision import full_precision
from tests.methods.test_every_method import batch, each_phase, make
from tests.tiny import REPRESENTATIVE, differences, slow_but

CHANNELS = {4: 6, 8: 4}
BF16 = torch.bfloat16


def narrow() -> torch.autocast:
    return torch.autocast("cpu", BF16)


@contextmanager
def watched(method: PhasedModule) -> Iterator[list[tuple[bool, torch.dtype]]]:
    """For each pass of a layer with weights: whether it will be differentiated twice, and in what it answers."""
    seen: list[tuple[bool, torch.dtype]] = []

    def note(module: nn.Module, args: Any, output: Any) -> None:
        if isinstance(output, Tensor) and any(True for _ in module.parameters(recurse=False)):
            seen.append((is_differentiated_twice(), output.dtype))

    networks = [*method.networks.values(), *method.ema.values()]
    hooks = [m.register_forward_hook(note) for network in networks for m in network.modules() if m is not network]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()


def losses(method: PhasedModule, mode: Any) -> tuple[list[Tensor], list[Tensor]]:
    """The losses of all phases and what networks gave on the way."""
    found: list[Tensor] = []

    def note(module: nn.Module, args: Any, output: Any) -> None:
        found.extend([output] if isinstance(output, Tensor) else output)

    hooks = [network.register_forward_hook(note) for network in method.networks.values()]
    with mode, method.passes.of(method.networks.values(), torch.device("cpu")):
        values = [phase.loss(step).detach() for phase, step in each_phase(method)]
    for hook in hooks:
        hook.remove()
    return values, found


@pytest.mark.parametrize("name", slow_but(["stylegan2"], REPRESENTATIVE))
def test_bf16_is_for_passes_that_are_differentiated_once(name: str) -> None:
    method = make(name)
    with watched(method) as seen, narrow():
        method.training_step(batch(method), 0)
    assert (False, BF16) in seen
    assert (True, BF16) not in seen
    regularised = {"r1", "path_length"} & vars(method).keys() or name == "progan_l1"
    assert ((True, torch.float32) in seen) == bool(regularised)
    with narrow():
        method.training_step(batch(method, 1), 0)
    assert method.bad_steps == 0
    states = [value for o in method.optimizers() for state in o.state.values() for value in state.values()]  # type: ignore[union-attr]
    values = [v for v in [*method.state_dict().values(), *states] if isinstance(v, Tensor) and v.is_floating_point()]
    assert {value.dtype for value in values} == {torch.float32}
    assert all(torch.isfinite(value).all() for value in values)


@pytest.mark.parametrize("name", slow_but([], REPRESENTATIVE))
def test_bf16_is_near_float32(name: str) -> None:
    """The same weights and draws: networks answer in float32, nearly as they would in it, and losses are float32."""
    exact, outputs = losses(make(name), nullcontext())
    rounded, narrow_outputs = losses(make(name), narrow())
    assert all(loss.dtype == torch.float32 and torch.isfinite(loss) for loss in rounded)
    assert len(outputs) == len(narrow_outputs) > 0
    for a, b in zip(outputs, narrow_outputs, strict=True):
        assert b.dtype == torch.float32
        assert (a - b).abs().max() <= 0.05 * a.abs().max()
    assert any(not torch.equal(a, b) for a, b in zip(outputs, narrow_outputs, strict=True))
    assert len(exact) == len(rounded)


def test_without_options_nothing_is_touched() -> None:
    network = nn.Linear(2, 2)
    with Passes().of([network], torch.device("cpu")):
        assert "forward" not in vars(network)
    with narrow(), Passes().of([network], torch.device("cpu")):
        assert not torch.is_autocast_enabled("cpu")
        assert network(torch.ones(1, 2)).dtype == torch.float32
    assert "forward" not in vars(network)


def test_full_precision_widens_under_autocast_only() -> None:
    @full_precision
    def product(a: Tensor, b: Tensor) -> Tensor:
        return a @ b

    x = torch.randn(3, 3)
    with narrow():
        assert (x @ x).dtype == BF16
        assert torch.equal(product(x, x), x @ x.double().float()) is False
        assert product(x.to(BF16), x).dtype == torch.float32
        assert product(x.double(), x.double()).dtype == torch.float64
    assert product(x.to(BF16), x.to(BF16)).dtype == BF16
    assert torch.equal(product(x, x), x @ x)


def scaled(method: PhasedModule, scale: float) -> PhasedModule:
    """The method with a loss scale, as Lightning's plugin would give it one."""
    method.scaler = scaler = torch.amp.GradScaler("cpu", init_scale=scale)
    method.manual_backward = lambda loss: scaler.scale(loss).backward()  # type: ignore[method-assign]
    return method


@pytest.mark.parametrize("name", slow_but(["joint_ae"], ["joint_ae", "alae", "aae"]))
def test_a_loss_scale_changes_nothing(name: str) -> None:
    """A power of two cancels exactly: in norms, clipping and both optimizers of a phase, adaptive beta included."""
    options = ("method.max_grad_norm=0.1", *(["method.beta.start_kimg=0"] if name == "joint_ae" else []))
    plain, other = make(name, *options), scaled(make(name, *options), 2.0**10)
    for i in range(2):
        plain.training_step(batch(plain, i), 0)
        other.training_step(batch(other, i), 0)
    assert not differences(plain.state_dict(), other.state_dict())
    assert plain.batch_stats == {k: v for k, v in other.batch_stats.items() if k != "health/loss_scale"}
    assert other.batch_stats["health/loss_scale"] == 2**10


def test_an_overflow_lowers_the_scale_and_counts_only_once_it_is_small() -> None:
    method = scaled(make("aae", "method.max_bad_steps=2"), 4.0)
    phase, step = next(each_phase(method))
    before = method.state_dict()["encoder.mu.weight"].clone()
    bad = Phase(phase.name, phase.networks, lambda step: phase.loss(step) * float("inf"), optimizer=phase.optimizer)
    scales = []
    for _ in range(3):
        method.run_phase(bad, step)
        assert method.scaler is not None
        scales.append((method.scaler.get_scale(), method.bad_steps))
    assert scales == [(2.0, 0), (1.0, 0), (0.5, 1)]
    assert torch.equal(before, method.state_dict()["encoder.mu.weight"])
    with pytest.raises(TrainingAborted, match="2 times in a row"):
        method.run_phase(bad, step)


def fit(method: PhasedModule, folder: Path, **options: Any) -> pl.Trainer:
    """Two iterations under Lightning, with a checkpoint at the end."""
    del method.optimizers, method.manual_backward
    plugins = [SafeCheckpointIO(), *options.pop("plugins", [])]
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=1,
        limit_train_batches=2,
        default_root_dir=folder,
        logger=False,
        plugins=plugins,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **options,
    )
    trainer.fit(method, DataLoader([{"image": x} for x in batch(method)["image"].repeat(2, 1, 1, 1)], batch_size=8))
    trainer.save_checkpoint(folder / "last.ckpt")
    return trainer


@pytest.mark.slow
def test_under_lightning(tmp_path: Path) -> None:
    """Both mixed precisions reach the passes; the loss scale is in the checkpoint and comes back."""
    plain = make("stylegan2")
    fit(plain, tmp_path)
    for options in ({"precision": "bf16-mixed"}, {"plugins": [PhaseScaling("cpu", torch.amp.GradScaler("cpu", 8.0))]}):
        method = make("stylegan2")
        with watched(method) as seen:
            trainer = fit(method, tmp_path, **options)
        wanted = torch.float16 if "plugins" in options else BF16
        assert {dtype for twice, dtype in seen if not twice} == {wanted, torch.float32}
        assert {dtype for twice, dtype in seen if twice} == {torch.float32}
        assert method.bad_steps == 0
        assert differences(plain.state_dict(), method.state_dict())
    state = torch.load(tmp_path / "last.ckpt", weights_only=True)["PhaseScaling"]
    assert state["scale"] == 8.0
    assert state["_growth_tracker"] == 2 * 2 + 2  # D and G twice, R1 and the path length once
    assert trainer.precision_plugin.state_dict() == state


@pytest.mark.parametrize("name", slow_but([], ["stylegan2", "overparam", "joint_ae"]))
def test_recomputed_activations_leave_the_numbers_as_they_are(name: str) -> None:
    """Every phase of the first iteration, those with second derivatives included."""
    plain, recomputing = make(name), make(name)
    recomputing.passes = Passes(recompute=True)
    kept = []
    for method in (plain, recomputing):
        sizes: list[int] = []

        def keep(x: Tensor, sizes: list[int] = sizes) -> Tensor:
            sizes.append(x.numel())
            return x

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
            method.training_step(batch(method), 0)
        kept.append(sum(sizes))
    assert not differences(plain.state_dict(), recomputing.state_dict())
    assert plain.batch_stats == recomputing.batch_stats
    assert kept[1] < kept[0]


@pytest.mark.parametrize("twice", [False, True])
def test_what_is_computed_anew_is_differentiated_as_often_as_at_first(twice: bool) -> None:
    """Also where the backward pass comes under the other setting."""
    seen = []

    class Noting(ResidualBlock):
        def forward(self, x: Tensor) -> Tensor:
            seen.append(is_differentiated_twice())
            return super().forward(x)

    block = Noting(3, 4)
    with Passes(recompute=True).of([block], torch.device("cpu")):
        with differentiated_twice(twice):
            y = block(torch.randn(2, 3, 8, 8)).sum()
        with differentiated_twice(not twice):
            y.backward()
    assert seen == [twice, twice]


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None and shutil.which("clang++") is None, reason="there is no C++ compiler")
def test_compiled_passes_equal_eager_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))  # what a killed run left is not read
    torch.manual_seed(0)
    convolutions = [EqualizedConv2d(3, 4, 3), EqualizedConv2d(4, 4, 3, down=True)]  # the second one blurs
    network = nn.Sequential(*convolutions, nn.Flatten(), EqualizedLinear(4 * 16, 2, activate=True))
    images = torch.randn(4, 3, 8, 8)
    compiling = Passes(compile=True)

    torch._dynamo.utils.counters.clear()

    def run() -> list[Tensor]:
        x = images.clone().requires_grad_()
        logits = network(x)
        return [logits, *torch.autograd.grad(logits.square().sum(), [x, *network.parameters()])]

    eager = run()
    with compiling.of([network], images.device):
        compiled = run()
        with differentiated_twice():
            assert all(torch.equal(a, b) for a, b in zip(eager, run(), strict=True))
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] > 0
    for a, b in zip(eager, compiled, strict=True):
        torch.testing.assert_close(b, a, rtol=1e-5, atol=1e-5 * float(a.detach().abs().max()))


def test_clamp_bounds_what_convolutions_give() -> None:
    torch.manual_seed(0)
    x, ws = 100 * torch.randn(2, 3, 8, 8), torch.randn(2, 4, 6)
    for make_network, given in ((Discriminator, (x,)), (lambda *a, **k: Synthesis(8, 6, CHANNELS, **k), (ws,))):
        outputs = []
        for clamp in (None, 1e6, 0.5):
            torch.manual_seed(0)
            network = make_network(8, CHANNELS, clamp=clamp)
            largest = []
            hooks = [
                m.register_forward_hook(lambda m, a, y, largest=largest: largest.append(float(y.detach().abs().max())))
                for m in network.modules()
                if hasattr(m, "clamp") and type(m).__name__ in ("EqualizedConv2d", "StyledConv")
            ]
            outputs.append(network(*given))
            assert hooks
            assert (max(largest) <= 0.5) == (clamp == 0.5)
        assert torch.equal(outputs[0], outputs[1])
        assert not torch.equal(outputs[0], outputs[2])


def test_tf32_is_a_switch() -> None:
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    try:
        for allowed in (True, False):
            set_tf32(allowed)
            assert torch.backends.cuda.matmul.allow_tf32 == allowed
            assert torch.backends.cudnn.allow_tf32 == allowed
    finally:
        torch.set_float32_matmul_precision(before[0])
        torch.backends.cudnn.allow_tf32 = before[1]
