"""Pixel errors of reconstructions."""

from abc import abstractmethod

import torch
from torch import Tensor

from aestyle.metrics.recipe import Measurement, Recipe, Subject


class ReconstructionMetric(Recipe):
    """The mean over the pictures of ``split`` of something that compares x with G(E(x))."""

    def __call__(self, subject: Subject) -> Measurement:
        """Reconstructs every picture of the split once."""
        values = subject.gather(self.compare(x, rec).double() for x, rec in subject.reconstructions(self.split))
        return Measurement(self.name, float(values.mean()), self.split, len(values))

    @abstractmethod
    def compare(self, x: Tensor, rec: Tensor) -> Tensor:
        """Pictures (n, C, H, W) in [-1, 1] and their reconstructions to one number each (n,)."""


class ReconstructionMSE(ReconstructionMetric):
    """Mean squared error per element, on [-1, 1], of reconstructions that are not clamped."""

    def compare(self, x: Tensor, rec: Tensor) -> Tensor:
        """(n,) mean squared errors."""
        return (x - rec).square().mean(dim=(1, 2, 3))


class ReconstructionPSNR(ReconstructionMetric):
    """Peak signal-to-noise ratio in dB of reconstructions clamped to [-1, 1] (peak-to-peak 2), mean over pictures."""

    def compare(self, x: Tensor, rec: Tensor) -> Tensor:
        """(n,) ratios in dB; infinite for an exact copy."""
        return 10 * torch.log10(4 / (x - rec.clamp(-1, 1)).square().mean(dim=(1, 2, 3)))
