"""What the runs of a study need: parameters, operations, memory and GPU-hours, from a model of the cost.

Each phase of a method is run once on the ``meta`` device, where tensors have shapes and no content: its loss, with the
derivatives inside of it, and the gradients of its networks. What that would compute and keep is counted.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from hydra import compose
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from rich.progress import track
from rich.table import Table
from torch import Tensor, nn

from aestyle.engine.augment import NoAugment
from aestyle.engine.module import PhasedModule
from aestyle.engine.phases import Phase, Step, only_trainable
from aestyle.errors import UserError
from aestyle.studies.counting import Meter
from aestyle.studies.initialisation import freeze
from aestyle.studies.planning import one_line
from aestyle.studies.study import Study

LATE = 10**9
"""Images seen by the method that is looked at: what begins late in a training has begun."""

ADAM = 2
"""Averages that Adam keeps of each parameter."""


@dataclass(frozen=True)
class Hardware:
    """What a training runs on.

    Args:
        tflops: peak of one device, in 10^12 operations a second.
        utilisation: the share of this and of the bandwidth that a training gets.
        devices: per run.
        bandwidth: of one device's memory, in 10^9 bytes a second.

    Raises:
        UserError: a value makes no sense.
    """

    tflops: float
    utilisation: float = 0.6
    devices: int = 1
    bandwidth: float = 1555

    def __post_init__(self) -> None:
        if self.tflops <= 0 or self.bandwidth <= 0 or self.devices < 1:
            raise UserError(
                f"tflops={self.tflops} bandwidth={self.bandwidth} devices={self.devices}: give numbers above 0"
            )
        if not 0 < self.utilisation <= 1:
            raise UserError(f"utilisation={self.utilisation}: give a share of the peak, above 0 and at most 1")

    def seconds(self, flops: float, traffic: float = 0.0) -> float:
        """Time of one device for so many operations, and so many bytes to and from its memory, one after the other."""
        return (flops / (self.tflops * 1e12) + traffic / (self.bandwidth * 1e9)) / self.utilisation


@dataclass(frozen=True)
class PhaseCost:
    """What one execution of a phase costs one device.

    Args:
        name: the phase.
        flops: floating-point operations.
        traffic: bytes read and written.
        peak: bytes beside the weights and the optimizer's state.
        every: runs in every so-many-th iteration.
        repeat: how often in such an iteration.
    """

    name: str
    flops: int
    traffic: int
    peak: int
    every: int
    repeat: int

    @property
    def flops_per_iteration(self) -> float:
        """On average over iterations."""
        return self.flops * self.repeat / self.every

    @property
    def traffic_per_iteration(self) -> float:
        """On average over iterations."""
        return self.traffic * self.repeat / self.every


@dataclass(frozen=True)
class MethodCost:
    """What a method costs one device.

    Args:
        phases: its phases.
        batch_size: images per iteration and device.
        parameters: number of parameters of each network.
        state: bytes of weights, their averages, buffers and the optimizers' state.
    """

    phases: tuple[PhaseCost, ...]
    batch_size: int
    parameters: dict[str, int]
    state: int

    @property
    def flops_per_image(self) -> float:
        """Operations for each image seen, on average over iterations."""
        return sum(phase.flops_per_iteration for phase in self.phases) / self.batch_size

    @property
    def traffic_per_image(self) -> float:
        """Bytes read and written for each image seen, on average over iterations."""
        return sum(phase.traffic_per_iteration for phase in self.phases) / self.batch_size

    def seconds_per_image(self, hardware: Hardware) -> float:
        """Time of one device for each image that it sees."""
        return hardware.seconds(self.flops_per_image, self.traffic_per_image)

    @property
    def memory(self) -> int:
        """Bytes of a device: the state, and the most that a phase needs; the framework's own are left out."""
        return self.state + max((phase.peak for phase in self.phases), default=0)


Eras = Mapping[int, MethodCost]
"""For each ``images_seen`` from which on a method's iterations cost something else, what they cost; in this order."""


@dataclass(frozen=True)
class RunCost:
    """What a run of a study costs.

    Args:
        run: its name.
        cfg: its configuration.
        seeds: how often it is trained.
        eras: what its method costs a device; empty if that is not known.
        problem: why it is not; empty if it is.
    """

    run: str
    cfg: DictConfig = field(default_factory=lambda: OmegaConf.create({}))
    seeds: int = 1
    eras: Eras = field(default_factory=dict)
    problem: str = ""

    @property
    def shares(self) -> list[tuple[int, float, MethodCost]]:
        """The eras of this run: where each begins, its share of the images, its cost."""
        total = self.cfg.kimg * 1000
        ends = [*list(self.eras)[1:], math.inf]
        eras = zip(self.eras.items(), ends, strict=True)
        lengths = [(start, min(end, total) - start, cost) for (start, cost), end in eras]
        return [(start, length / total, cost) for start, length, cost in lengths if length > 0]

    def mean(self, of: Callable[[MethodCost], float]) -> float:
        """A figure of the method, averaged over the images of the run."""
        return sum(share * of(cost) for _, share, cost in self.shares)

    def gpu_hours(self, hardware: Hardware) -> float:
        """Hours of all devices together, for one seed."""
        return self.mean(lambda cost: cost.seconds_per_image(hardware)) * self.cfg.kimg * 1000 / 3600

    def kimg_a_day(self, hardware: Hardware) -> float:
        """Thousand images that all devices together see in a day, on average over the run."""
        return hardware.devices * 86.4 / self.mean(lambda cost: cost.seconds_per_image(hardware))


# -- a method --------------------------------------------------------------------------------------------------------


def method_cost(cfg: DictConfig, batch_size: int) -> MethodCost:
    """Counts what an iteration late in a training costs a device, without any weights.

    Args:
        cfg: composed from ``conf/train.yaml``.
        batch_size: images per iteration on the device.

    Raises:
        UserError: the method cannot be built.
    """
    return _cost(_without_weights(cfg), batch_size, LATE)


def method_eras(cfg: DictConfig, devices: int) -> Eras:
    """Counts what an iteration costs a device, for each part of a training in which that is the same.

    Args:
        cfg: composed from ``conf/train.yaml``.
        devices: how many share the images of an iteration.

    Raises:
        UserError: the method cannot be built.
    """
    method = _without_weights(cfg)
    sizes = dict(sorted(method.batch_sizes(cfg.batch_size).items()))
    starts = sorted({*sizes, *method.milestones()})
    ends = [start - 1 for start in starts[1:]] + [LATE]  # what begins within an era, such as a fade, has ended
    held = [next(size for begin, size in reversed(sizes.items()) if begin <= start) for start in starts]
    eras = zip(starts, ends, held, strict=True)
    return {start: _cost(method, -(-size // devices), end) for start, end, size in eras}


def _without_weights(cfg: DictConfig) -> PhasedModule:
    with torch.device("meta"):
        method: PhasedModule = instantiate(cfg.method, _convert_="all")
    freeze(method, cfg.freeze)
    return method


def _cost(method: PhasedModule, batch_size: int, images_seen: int) -> MethodCost:
    with torch.device("meta"):
        phases = planned(method, images_seen).phases()
        costs = tuple(phase_cost(method, phase, batch_size) for phase in phases)
    parameters = {name: _count(network) for name, network in method.networks.items()}
    stepped = [p for names, _ in method.optimizer_groups().values() for n in names for p in _trained(method, n)]
    tensors = [*method.parameters(), *method.buffers()]
    state = sum(t.nbytes for t in tensors) + ADAM * sum(p.nbytes for p in stepped)
    return MethodCost(costs, batch_size, parameters, state)


def planned(method: PhasedModule, images_seen: int = LATE) -> PhasedModule:
    """The method as it is at a moment of a training, so that its phases can be run without values.

    What asks for values is left out: recording, augmentation, whose few operations on images are not counted, and the
    history, which only moves images.
    """
    method.images_seen = images_seen
    method.record = lambda name, value: None  # type: ignore[method-assign]
    for name in [name for name in [*vars(method), *dict(method.named_children())] if name.startswith("augment")]:
        delattr(method, name)  # it may be a module, or be none
        setattr(method, name, NoAugment())
    if getattr(method, "history", None) is not None:
        method.history = None  # type: ignore[assignment]
    return method


def phase_cost(method: PhasedModule, phase: Phase, batch_size: int) -> PhaseCost:
    """Runs a phase's loss and its gradients once and counts; no weight changes.

    Args:
        method: from :func:`planned`; on the ``meta`` device nothing is computed.
        phase: one of its phases.
        batch_size: images.
    """
    device = next(method.parameters()).device
    shape = (batch_size, method.channels, method.resolution, method.resolution)
    real = torch.zeros(shape, device=device)
    meter = Meter()
    if _trained_of(method, phase):
        with only_trainable(method.networks, phase.networks), meter:
            gradients(method, phase, Step(real, method.draws(phase.name, 0, real)))
    return PhaseCost(phase.name, meter.flops, meter.traffic, meter.peak, phase.every, phase.repeat)


def gradients(method: PhasedModule, phase: Phase, step: Step) -> Sequence[Tensor | None]:
    """The gradients that a phase would step with; call it where only its networks are trainable."""
    return torch.autograd.grad(phase.loss(step), _trained_of(method, phase), allow_unused=True)


def _trained_of(method: PhasedModule, phase: Phase) -> list[nn.Parameter]:
    return [p for name in phase.networks for p in _trained(method, name)]


def _trained(method: PhasedModule, name: str) -> list[nn.Parameter]:
    return [p for p in method.networks[name].parameters() if p.requires_grad] if name in method.networks else []


def _count(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


# -- a study ---------------------------------------------------------------------------------------------------------


def plan_study(folder: Path, scale: str, hardware: Hardware, only: str | Iterable[str] | None = None) -> list[RunCost]:
    """What each run of a study costs; call it where Hydra is initialised with ``conf/``.

    Args:
        folder: the study's folder.
        scale: ``cpu`` or ``paper``.
        hardware: what it would run on.
        only: names or patterns of runs; None takes all.

    Raises:
        UserError: the study cannot be understood, or nothing in it is meant.
    """
    study = Study.load(folder)
    jobs = study.select(study.jobs(scale), [only] if isinstance(only, str) else only)
    known: dict[str, Eras] = {}
    costs: dict[str, RunCost] = {}
    first = {job.run: job for job in reversed(jobs)}  # its seeds cost the same
    for run in track(dict.fromkeys(job.run for job in jobs), "counting", transient=True):
        seeds = sum(job.run == run for job in jobs)
        costs[run] = _run_cost(run, compose("train", list(first[run].overrides)), seeds, hardware, known)
    return list(costs.values())


def _run_cost(run: str, cfg: DictConfig, seeds: int, hardware: Hardware, known: dict[str, Eras]) -> RunCost:
    key = f"{cfg.batch_size} {OmegaConf.to_yaml(cfg.method, resolve=True)} {cfg.freeze}"
    try:
        if key not in known:
            known[key] = method_eras(cfg, hardware.devices)
    except UserError as error:
        return RunCost(run, cfg, seeds, problem=str(error))
    except (NotImplementedError, RuntimeError) as error:  # a loss that looks at values, which shapes alone have not
        return RunCost(run, cfg, seeds, problem=f"not counted: {one_line(error)}")
    return RunCost(run, cfg, seeds, known[key])


def plan_tables(costs: Sequence[RunCost], hardware: Hardware) -> list[Table]:
    """Two tables: what each run needs, and how its operations are shared by the phases of its method."""
    return [_runs_table(costs, hardware), _phases_table(costs)]


def _runs_table(costs: Sequence[RunCost], hardware: Hardware) -> Table:
    total = sum(cost.seeds * cost.gpu_hours(hardware) for cost in costs)
    table = Table(
        title=f"{hardware.devices} x {hardware.tflops:g} TFLOP/s, {hardware.bandwidth:g} GB/s, at "
        f"{hardware.utilisation:.0%}",
        caption=f"{total:,.0f} GPU-hours in all. Training only: metrics come on top. Memory: weights, averages, Adam "
        "and the peak of a phase in fp32, without the framework's own (about 1 GB with CUDA).",
    )
    table.add_column("run", no_wrap=True)
    heads = (
        "px",
        "batch a\ndevice",
        "parameters",
        "GFLOP\nan image",
        "GB moved\nan image",
        "GB a\ndevice",
        "kimg\na day",
        "kimg",
    )
    for head in (*heads, "GPU-hours", "seeds", "GPU-hours\nin all"):
        table.add_column(head, justify="right", no_wrap=True)
    for cost in costs:
        if not cost.eras:
            table.add_row(cost.run, cost.problem)
            continue
        hours = cost.gpu_hours(hardware)
        *_, (_, _, last) = cost.shares
        table.add_row(
            cost.run,
            str(cost.cfg.resolution),
            str(last.batch_size),
            f"{sum(last.parameters.values()) / 1e6:.2f} M",
            f"{cost.mean(lambda method: method.flops_per_image) / 1e9:.4g}",
            f"{cost.mean(lambda method: method.traffic_per_image) / 1e9:.3g}",
            f"{max(method.memory for _, _, method in cost.shares) / 1e9:.2f}",
            f"{cost.kimg_a_day(hardware):,.0f}",
            f"{cost.cfg.kimg:g}",
            f"{hours:,.2f}" if hours < 10 else f"{hours:,.0f}",
            str(cost.seeds),
            f"{cost.seeds * hours:,.2f}" if hours < 10 else f"{cost.seeds * hours:,.0f}",
        )
    return table


def _phases_table(costs: Sequence[RunCost]) -> Table:
    table = Table(title="GFLOP an image of each phase, whenever it runs, and its share of the operations")
    for head in ("run", "parameters", "from kimg", "phases"):
        table.add_column(head)
    shown: dict[str, list[RunCost]] = {}
    for cost in costs:
        if cost.eras:
            shown.setdefault(str([(start, method) for start, _, method in cost.shares]), []).append(cost)
    for alike in shown.values():
        names = [cost.run for cost in alike]
        more = f" and {len(names) - 2} more" if len(names) > 2 else ""
        for start, _, method in alike[0].shares:
            parameters = ", ".join(f"{name} {count / 1e6:.2f} M" for name, count in method.parameters.items())
            first = (", ".join(names[:2]) + more, parameters) if start == 0 else ("", "")
            table.add_row(*first, f"{start / 1000:g}", _phases(method))
    return table


def _phases(method: MethodCost) -> str:
    whole = method.flops_per_image * method.batch_size or 1.0
    costs = ((phase, phase.flops / method.batch_size / 1e9) for phase in method.phases)
    return ", ".join(
        f"{phase.name} {gflop:.4g}{_when(phase)} ({phase.flops_per_iteration / whole:.0%})" for phase, gflop in costs
    )


def _when(phase: PhaseCost) -> str:
    every = f" every {phase.every}" if phase.every > 1 else ""
    return every + (f" x {phase.repeat}" if phase.repeat > 1 else "")
