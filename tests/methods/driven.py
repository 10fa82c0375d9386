"""Tiny methods without Lightning, whose every draw, gradient and recorded number can be looked at."""

from typing import Any

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig
from torch import Tensor

from aestyle.engine.draws import Draws
from aestyle.engine.module import PhasedModule
from aestyle.engine.phases import Phase, Step
from tests.methods.test_every_method import Recorder
from tests.tiny import compose_tiny


def tiny(options: str, seed: int = 0) -> tuple[PhasedModule, DictConfig]:
    """The method of these options (its name first) with plain optimizers, and its configuration."""
    config = compose_tiny(*f"method={options}".split()).method
    torch.manual_seed(seed)
    method: PhasedModule = instantiate(config, _convert_="all")
    for name, p in method.named_parameters():
        if name.endswith("noise_strength"):
            p.data.fill_(0.1)
    optimizers = method.configure_optimizers()
    method.optimizers = lambda: optimizers  # type: ignore[method-assign,assignment]
    method.manual_backward = lambda loss: loss.backward()  # type: ignore[method-assign,misc]
    return method, config


def images(method: PhasedModule, seed: int = 0, size: int = 8) -> Tensor:
    """Random images for one iteration, in [-1, 1]."""
    shape = (size * method.batches_per_iteration, method.channels, method.resolution, method.resolution)
    random = torch.Generator().manual_seed(seed)
    return torch.rand(shape, generator=random, dtype=torch.float64).to(method.dtype) * 2 - 1


class Watched:
    """Watches a method: the draws, the recorded numbers and the gradients of each step of its last iteration.

    Args:
        method: with plain optimizers.
    """

    def __init__(self, method: PhasedModule) -> None:
        self.method = method
        self.names = {id(p): f"{n}.{key}" for n, net in method.networks.items() for key, p in net.named_parameters()}
        self.draws: dict[tuple[str, int], Recorder] = {}
        self.records: dict[str, list[float]] = {}
        self.gradients: list[tuple[str, dict[str, Tensor]]] = []
        self._original: dict[str, Any] = {"draws": method.draws, "run_phase": method.run_phase, "record": method.record}
        method.draws = self._draws  # type: ignore[method-assign]
        method.run_phase = self._run_phase  # type: ignore[method-assign]
        method.record = self._record  # type: ignore[method-assign]
        for optimizer in method.optimizers():  # type: ignore[union-attr]
            optimizer.register_step_pre_hook(self._before_step)

    def iteration(self, images: Tensor) -> dict[tuple[str, int], dict[str, Any]]:
        """Runs one iteration; gives back its draws."""
        self.draws, self.records, self.gradients = {}, {}, []
        self.method.training_step({"image": images}, 0)
        return {key: recorder.kept for key, recorder in self.draws.items()}

    def _draws(self, phase: str, repeat: int, images: Tensor) -> Draws:
        self.draws[phase, repeat] = Recorder(self._original["draws"](phase, repeat, images))
        return self.draws[phase, repeat]

    def _run_phase(self, phase: Phase, step: Step) -> None:
        self.gradients.append((phase.name, {}))
        self._original["run_phase"](phase, step)

    def _record(self, name: str, value: Tensor) -> None:
        self.records.setdefault(name, []).append(float(value.detach().double().mean()))
        self._original["record"](name, value)

    def _before_step(self, optimizer: torch.optim.Optimizer, *_: Any) -> None:
        stepped = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        self.gradients[-1][1].update({self.names[id(p)]: p.grad.clone() for p in stepped})
