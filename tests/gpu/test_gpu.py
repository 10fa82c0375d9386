"""CUDA gives the numbers that the CPU gives, second derivatives included; precisions, compiled passes, memory, NCCL.

``make test-gpu`` runs them; without CUDA they are skipped. ``AESTYLE_TEST_DEVICE=cpu`` runs what makes sense there on
the CPU, so that the tests themselves are tested.
"""

import gc
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from aestyle.engine.draws import KeyedDraws
from aestyle.engine.passes import Passes, set_tf32
from aestyle.engine.phases import Step, only_trainable
from aestyle.nets.convolution import differentiated_twice
from aestyle.nets.modulation import StyledConv
from tests.methods.test_every_method import batch, each_phase, make
from tests.tiny import METHODS, TINY, assert_same_end, compose_tiny, init_options, run_training, stats

DEVICE = torch.device(os.environ.get("AESTYLE_TEST_DEVICE", "cuda"))
ON_GPU = DEVICE.type == "cuda"
GPUS = torch.cuda.device_count()

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.slow,
    pytest.mark.skipif(ON_GPU and not torch.cuda.is_available(), reason="there is no GPU that PyTorch can use"),
]
only_on_gpu = pytest.mark.skipif(not ON_GPU, reason="asks something of CUDA alone")
TRAINER = "trainer=gpu" if ON_GPU else "trainer=cpu"


@pytest.fixture(autouse=True)
def exact() -> Iterator[None]:
    """Without TensorFloat-32, and with the convolutions that give the same each time."""
    before = torch.backends.cudnn.deterministic
    set_tf32(False)
    torch.backends.cudnn.deterministic = True
    yield
    torch.backends.cudnn.deterministic = before


def there(name: str, device: torch.device, dtype: torch.dtype, *options: str) -> Any:
    """A tiny method on a device."""
    return make(name, *options).to(device, dtype)


@dataclass(frozen=True)
class FromCPU:
    """The CPU's draws, elsewhere: their normals are computed in float32, which devices round in their own ways."""

    draws: KeyedDraws
    device: torch.device

    def normal(self, name: str, shape: Sequence[int], count: int | None = None) -> Tensor:
        return self.draws.normal(name, shape, count).to(self.device)

    def uniforms(self, name: str, shape: Sequence[int], count: int | None = None) -> Tensor:
        return self.draws.uniforms(name, shape, count).to(self.device)

    def bernoulli(self, name: str, p: float, shape: Sequence[int], count: int | None = None) -> Tensor:
        return self.draws.bernoulli(name, p, shape, count).to(self.device)

    def uniform(self, name: str) -> float:
        return self.draws.uniform(name)


def derivatives(method: Any, device: torch.device, dtype: torch.dtype) -> list[Tensor]:
    """Losses of all phases and their gradients, on the CPU, for one batch of images."""
    found = []
    for phase, step in each_phase(method):
        draws = FromCPU(method.draws(phase.name, 0, step.real.to(dtype)), device)
        with only_trainable(method.networks, phase.networks):
            trained = [p for name in phase.networks for p in method.networks[name].parameters() if p.requires_grad]
            loss = phase.loss(Step(step.real.to(device, dtype), draws))
            found += [loss.detach(), *torch.autograd.grad(loss, trained, allow_unused=True)]
    return [value.cpu() for value in found if value is not None]


MOMENTS = (0, 20, 10**7)
"""Images seen: before everything, within the first fade, with all grown and begun."""


@pytest.mark.parametrize(("dtype", "rtol"), [(torch.float64, 1e-7), (torch.float32, 1e-3)])
@pytest.mark.parametrize("name", METHODS)
def test_losses_and_gradients_are_those_of_the_cpu(name: str, dtype: torch.dtype, rtol: float) -> None:
    """Of every phase: R1, path length and gradient penalties are second derivatives. TF32 is off."""
    options = ["++scale.beta_kimg=0"]
    if dtype == torch.float64 and "perceptual" in compose_tiny(f"method={name}").method:
        options += ["method.perceptual=null"]  # the feature network computes in float32
    for moment in MOMENTS:
        found = []
        for device in (DEVICE, torch.device("cpu")):
            method = there(name, device, dtype, *options)
            method.images_seen = moment
            found.append(derivatives(method, device, dtype))
        assert len(found[0]) == len(found[1]) > 1
        for a, b in zip(*found, strict=True):
            torch.testing.assert_close(a, b, rtol=rtol, atol=rtol * max(1e-6, float(b.abs().max())))


def test_draws_are_those_of_the_cpu() -> None:
    """To rounding: in float32, of which a device may compute logarithms and cosines in its own way."""
    here, there = (KeyedDraws(0, "D", 0, torch.arange(64, device=d), 0) for d in (DEVICE, torch.device("cpu")))
    torch.testing.assert_close(here.normal("z", (33,)).cpu(), there.normal("z", (33,)), rtol=1e-5, atol=1e-5)
    assert torch.equal(here.uniforms("u", (33,)).cpu(), there.uniforms("u", (33,)))
    assert torch.equal(here.bernoulli("b", 0.3, (33,)).cpu(), there.bernoulli("b", 0.3, (33,)))


@pytest.mark.parametrize("up", [False, True])
@pytest.mark.parametrize("twice", [False, True])
def test_modulated_convolutions_have_second_derivatives(up: bool, twice: bool) -> None:
    torch.manual_seed(0)
    layer = StyledConv(3, 2, 4, up).to(DEVICE, torch.float64)
    x = torch.randn(2, 3, *(2 * [4 if up else 8]), device=DEVICE, dtype=torch.float64, requires_grad=True)
    style = torch.randn(2, 4, device=DEVICE, dtype=torch.float64, requires_grad=True)
    noise = torch.randn(2, 1, 8, 8, device=DEVICE, dtype=torch.float64)
    with differentiated_twice(twice):
        assert torch.autograd.gradgradcheck(lambda a, b: layer(a, b, noise), (x, style), nondet_tol=1e-9)


@pytest.mark.parametrize("precision", ["bf16-mixed", pytest.param("16-mixed", marks=only_on_gpu)])
@pytest.mark.parametrize("name", METHODS)
def test_narrow_numbers_stay_finite(name: str, precision: str, tmp_path: Path) -> None:
    options = [f"method={name}", *init_options(name, tmp_path / "generator", *TINY)]
    run_training(*TINY, *options, TRAINER, f"trainer.precision={precision}", "kimg=0.16", f"run_dir={tmp_path / 'run'}")
    assert stats(tmp_path / "run")[-1]["health/bad_steps"] == 0


def test_compiled_passes_equal_eager_ones() -> None:
    plain, method = (there("joint_ae", DEVICE, torch.float32) for _ in range(2))
    eager = derivatives(plain, DEVICE, torch.float32)
    torch._dynamo.utils.counters.clear()
    with Passes(compile=True).of(method.networks.values(), DEVICE):
        compiled = derivatives(method, DEVICE, torch.float32)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] > 0
    for a, b in zip(eager, compiled, strict=True):
        torch.testing.assert_close(b, a, rtol=1e-5, atol=1e-5 * max(1.0, float(a.abs().max())))


@only_on_gpu
def test_recomputing_lowers_the_peak_of_memory() -> None:
    """Of phases that are differentiated once."""
    peaks = []
    for recompute in (False, True):
        method = there("joint_ae", DEVICE, torch.float32, "resolution=64", "scale.channels={4: 64, 8: 64, 64: 64}")
        phases = [phase for phase in method.phases() if phase.every == 1]
        method.phases = lambda phases=phases: phases
        method.passes = Passes(recompute=recompute)
        images = {"image": batch(method, size=16)["image"].to(DEVICE)}
        method.training_step(images, 0)  # the libraries' own memory
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        method.training_step(images, 0)
        peaks.append(torch.cuda.max_memory_allocated() - before)
        del method, phases
        gc.collect()
    assert peaks[1] < 0.8 * peaks[0]


def test_stopped_and_called_again_ends_alike(tmp_path: Path) -> None:
    """Bit by bit, with deterministic convolutions."""
    options = [*TINY, "method=joint_ae", TRAINER, "+trainer.deterministic=true"]
    run_training(*options, "kimg=0.16", f"run_dir={tmp_path / 'straight'}")
    for kimg in ("0.08", "0.16"):
        run_training(*options, f"kimg={kimg}", f"run_dir={tmp_path / 'in_two'}")
    assert_same_end(tmp_path / "straight", tmp_path / "in_two")


@pytest.mark.skipif(ON_GPU and GPUS < 2, reason=f"there are {GPUS} GPUs and not two")
def test_two_devices_are_one(tmp_path: Path) -> None:
    """Over NCCL, the same global batch: statistics of all iterations agree."""
    both = ["trainer=ddp", "trainer.devices=2"] if ON_GPU else ["trainer=ddp_cpu"]
    for name, trainer in (("one", [TRAINER]), ("two", both)):
        run_training(*TINY, "method=joint_ae", *trainer, "kimg=0.08", f"run_dir={tmp_path / name}")
    for one, two in zip(stats(tmp_path / "one"), stats(tmp_path / "two"), strict=True):
        for key in (key for key in one if key.startswith("loss/")):
            assert two[key] == pytest.approx(one[key], rel=1e-2, abs=1e-3), key
