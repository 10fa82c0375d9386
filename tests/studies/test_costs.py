"""The model of the cost: exact where it can be computed by hand, growing as the mathematics says."""

import multiprocessing
import random
from concurrent.futures import ProcessPoolExecutor
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from aestyle.engine.phases import Step, only_trainable
from aestyle.errors import UserError
from aestyle.nets.convolution import conv2d, differentiated_twice
from aestyle.studies.costs import Hardware, MethodCost, RunCost, method_cost, method_eras, phase_cost, planned
from aestyle.studies.counting import Meter
from tests.helpers import ROOT, answer
from tests.methods.driven import tiny
from tests.tiny import compose_tiny, slow_but

METHODS = ["joint_ae", "overparam", "iaae", "vaegan"]


def cost(options: str, batch_size: int = 8) -> MethodCost:
    return method_cost(compose_tiny("scale.beta_kimg=0", *f"method={options}".split()), batch_size)


def linear_net(widths: list[int]) -> nn.Sequential:
    return nn.Sequential(*(nn.Linear(a, b) for a, b in pairwise(widths)))


# -- counting --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_operations_of_a_linear_network_are_exact(device: str) -> None:
    widths = [random.randint(2, 9) for _ in range(4)]
    n = random.randint(2, 9)
    products = [2 * n * a * b for a, b in pairwise(widths)]
    net, x = linear_net(widths).to(device), torch.zeros(n, widths[0], device=device)
    with Meter() as meter:
        y = net(x)
    assert meter.flops == sum(products)
    with Meter() as meter:
        torch.autograd.grad(y.sum(), list(net.parameters()))
    assert meter.flops == 2 * sum(products) - products[0]  # no gradient of the input


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_operations_of_a_convolution_and_of_its_second_derivative_are_exact(device: str) -> None:
    (a, b), n, size, kernel = random.sample(range(2, 9), 2), 2, 8, 3
    weight = torch.zeros(b, a, kernel, kernel, device=device, requires_grad=True)
    once = 2 * n * size * size * a * b * kernel**2
    x = torch.zeros(n, a, size, size, device=device, requires_grad=True)
    with Meter() as meter, differentiated_twice():
        (gradient,) = torch.autograd.grad(conv2d(x, weight, padding=1).square().sum(), x, create_graph=True)
    assert meter.flops == 2 * once  # there and back, without the weight's gradient, which nobody asked for
    with Meter() as meter:
        torch.autograd.grad(gradient.square().sum(), weight)
    # the weight's gradient by the backward convolution, that convolution's own back to its input, and on by the first
    assert meter.flops == 3 * once


@pytest.mark.slow
def test_operations_are_those_of_torchs_own_counter() -> None:
    """Which can be asked only where no loss differentiates by itself: its hooks refuse ``torch.autograd.grad``."""
    method, _ = tiny("stylegan2 dataset=orl_faces")
    for phase in [phase for phase in method.phases() if phase.every == 1]:
        ours = phase_cost(method, phase, 8).flops
        real = torch.zeros(8, method.channels, 8, 8)
        with only_trainable(method.networks, phase.networks), FlopCounterMode(display=False) as counter:
            phase.loss(Step(real, method.draws(phase.name, 0, real))).backward()
        assert ours == counter.get_total_flops() > 0


def test_the_peak_is_what_lives_at_a_time() -> None:
    n = random.randint(10, 99)

    def wasteful(x: Tensor) -> Tensor:
        for _ in range(5):
            x = x + 1  # two at a time
        return x

    x = torch.zeros(n, dtype=torch.float32)
    with Meter() as meter:
        y = wasteful(x)
        views = [y[1:], y.view(-1, 1)]
    assert meter.peak == 2 * 4 * n
    assert meter.live == 4 * n
    with Meter() as meter:
        kept = [x.double() for _ in range(3)]
        del kept[0]
        kept.append(x * 2)
    assert meter.peak == 3 * 8 * n
    assert len(views) == 2


def test_views_move_nothing_and_everything_else_its_operands() -> None:
    n = random.randint(10, 99)
    x = torch.zeros(n, 4)
    with Meter() as meter:
        y = x.t()[:, 1:].t()
        assert meter.traffic == 0
        y + 1
        assert meter.traffic == 2 * 16 * (n - 1)
        x.add_(1)
    assert meter.traffic == 2 * 16 * (n - 1) + 2 * 16 * n


# -- methods ---------------------------------------------------------------------------------------------------------


def compare_shapes_with_real_models() -> None:
    for method in METHODS:
        options = f"{method} scale.beta_kimg=0 dataset=orl_faces"
        shapes, (real, _) = cost(options), tiny(options)
        real.to(memory_format=torch.contiguous_format)  # as what is shapes alone always is
        for ours, phase in zip(shapes.phases, planned(real).phases(), strict=True):
            theirs = phase_cost(real, phase, 8)
            where = f"{method}, {phase.name}"
            assert (ours.name, ours.every, ours.repeat) == (phase.name, phase.every, phase.repeat), where
            assert ours.flops == theirs.flops, where
            assert ours.peak == pytest.approx(theirs.peak, rel=0.05), where
        parameters = {name: sum(p.numel() for p in net.parameters()) for name, net in real.networks.items()}
        assert shapes.parameters == parameters, method


@pytest.mark.slow
def test_shapes_alone_cost_what_real_models_cost() -> None:
    # A process of its own: behind thousands of other tests the meter once missed what a real feature network keeps.
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as fresh:
        fresh.submit(compare_shapes_with_real_models).result()


@pytest.mark.parametrize("method", slow_but(["iaae"], ["iaae", "overparam"]))
def test_operations_grow_with_the_batch_and_repetitions_alone(method: str) -> None:
    small, large = cost(f"{method} dataset=orl_faces", 8), cost(f"{method} dataset=orl_faces", 32)
    for a, b in zip(small.phases, large.phases, strict=True):
        assert b.flops == pytest.approx(4 * a.flops, rel=0.05)  # what is of weights alone does not grow
    assert large.flops_per_image == pytest.approx(small.flops_per_image, rel=0.05)
    assert large.memory > small.memory
    assert large.state == small.state


@pytest.mark.slow
def test_an_interval_and_repetitions_count_as_often_as_they_run() -> None:
    lazy = cost("joint_ae dataset=orl_faces method.e_steps=3 method.path_length=null method.perceptual=null")
    flops = {phase.name: phase.flops / 8 for phase in lazy.phases}
    assert lazy.flops_per_image == pytest.approx(flops["D"] + flops["D_r1"] / 16 + 3 * flops["AE"] + flops["G"])
    assert flops["D_r1"] > flops["D"] / 2  # a second derivative of half the images


@pytest.mark.slow
def test_width_costs_its_square_and_pixels_themselves() -> None:
    def flops(width: int, resolution: int) -> dict[str, int]:
        channels = f"scale.channels={{4:{width},8:{width},16:{width}}}"
        config = f"stylegan2 dataset=orl_faces resolution={resolution} {channels} scale.style_dim=8"
        return {phase.name: phase.flops for phase in cost(config, 4).phases}

    narrow, wide, small = flops(64, 16), flops(256, 16), flops(64, 8)
    assert all(10 < wide[name] / narrow[name] <= 16.0 for name in narrow)
    assert all(3 < narrow[name] / small[name] < 4.7 for name in narrow)


def test_each_part_of_a_training_counts_as_long_as_it_lasts() -> None:
    """Grown once, then retrained: the networks and the batch change, and with the last part the phases."""
    kimg = ["++scale.stage_kimg=1", "++scale.gan_kimg=3", "++scale.batch_sizes={4: 16}", "kimg=5", "batch_size=8"]
    cfg = compose_tiny("method=progan_l1", *kimg)
    run = RunCost("progan_l1", cfg, eras=method_eras(cfg, devices=2))
    assert [(start, cost.batch_size) for start, cost in run.eras.items()] == [(0, 8), (1000, 4), (3000, 4)]
    assert [[phase.name for phase in cost.phases] for cost in run.eras.values()] == [["D", "G"], ["D", "G"], ["E"]]
    assert [share for _, share, _ in run.shares] == pytest.approx([0.2, 0.4, 0.4])
    small, large, last = (cost.flops_per_image for cost in run.eras.values())
    assert small < large
    hours = (small + 2 * large + 2 * last) * 1000 / 1e12 / 3600
    assert run.gpu_hours(Hardware(1, 1, devices=2, bandwidth=1e9)) == pytest.approx(hours, rel=1e-3)
    run.cfg.kimg = 1.5
    assert [share for _, share, _ in run.shares] == pytest.approx([2 / 3, 1 / 3])


# -- hardware and the command ----------------------------------------------------------------------------------------


def test_time_follows_from_operations() -> None:
    flops = random.uniform(1e9, 1e15)
    assert Hardware(10, 0.5).seconds(flops) == pytest.approx(flops / 5e12)
    assert Hardware(10, 0.5, bandwidth=100).seconds(0, flops) == pytest.approx(flops / 5e10)
    for values, named in (((0, 0.5, 1), "tflops=0"), ((1, 2, 1), "utilisation=2"), ((1, 0.5, 0), "devices=0")):
        with pytest.raises(UserError, match=named):
            Hardware(*values)


@pytest.mark.slow
def test_the_command_prints_what_each_run_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    one = answer("report", "plan=iaae", "scale=cpu", "only=[aae-mnist,iaae-mnist]", "tflops=1", "utilisation=0.5")
    assert one.code == 0, one
    assert "aae-mnist" in one.out
    assert "GPU-hours in all" in one.out
    assert "1 x 1 TFLOP/s, 1555 GB/s, at 50%" in one.out
    assert "AE 0.0" in one.out
    assert "only=nope matches no run" in answer("report", "plan=iaae", "scale=cpu", "only=nope").line
    assert "study.yaml: there is no such file" in answer("report", "plan=nope").line
