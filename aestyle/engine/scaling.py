"""Training in float16, whose gradients need a loss scale: one for all phases, moved once a phase."""

from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.plugins.precision import MixedPrecision, Precision
from torch import nn
from torch.optim import Optimizer

FLOAT16 = ("16-mixed", "fp16-mixed", "16")
"""Names of this precision."""


class PhaseScaling(MixedPrecision):
    """Lightning's ``16-mixed`` for methods with phases.

    Lightning unscales inside of each optimizer's step and then moves the scale. A phase may step two optimizers, and
    looks at its gradients, reduces and clips them before. So the module is given the scaler: see
    :meth:`~aestyle.engine.module.PhasedModule.run_phase`. The scaler is part of the checkpoint as it is in Lightning.

    Args:
        device: ``cuda``.
        scaler: in place of PyTorch's default.
    """

    def __init__(self, device: str = "cuda", scaler: torch.amp.GradScaler | None = None) -> None:
        super().__init__("16-mixed", device, scaler)

    def connect(
        self, model: nn.Module, optimizers: list[Optimizer], lr_schedulers: list[Any]
    ) -> tuple[nn.Module, list[Optimizer], list[Any]]:
        """Hands the scaler on."""
        model.scaler = self.scaler  # type: ignore[assignment]
        return super().connect(model, optimizers, lr_schedulers)

    def optimizer_step(  # type: ignore[override]
        self, optimizer: Any, model: "pl.LightningModule", closure: Callable[[], Any], **kwargs: Any
    ) -> Any:
        """An ordinary step: the gradients are unscaled and finite."""
        return Precision.optimizer_step(self, optimizer, model, closure, **kwargs)
