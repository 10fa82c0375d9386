"""How far reconstructions are from their originals, in pixels and in features."""

from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torchmetrics.functional.image import structural_similarity_index_measure

from aestyle.metrics.pairwise import ImageDistance
from aestyle.metrics.recipe import Measurement, Recipe, Subject

if TYPE_CHECKING:
    from aestyle.data.datamodule import ImageDataModule


class ReconstructionMetric(Recipe):
    """The mean over the pictures of ``split`` of something that compares x with G(E(x))."""

    def __call__(self, subject: Subject) -> Measurement:
        """Reconstructs every picture of the split once."""
        return self.measure(subject, subject.reconstructions(self.split), self.split)

    def measure(self, subject: Subject, pairs: Iterable[tuple[Tensor, Tensor]], split: str) -> Measurement:
        """The figure of pictures and their reconstructions, batch by batch.

        Args:
            subject: brings the results of several processes together.
            pairs: batches (n, C, H, W) in [-1, 1] of both.
            split: what the pictures are.
        """
        values = subject.gather(self.compare(x, rec).double() for x, rec in pairs)
        return Measurement(self.name, self.summary(values), split, len(values))

    @abstractmethod
    def compare(self, x: Tensor, rec: Tensor) -> Tensor:
        """Pictures (n, C, H, W) in [-1, 1] and their reconstructions to one number each (n,)."""

    def summary(self, values: Tensor) -> float:
        """The figure of all pictures from those of each (N,): their mean."""
        return float(values.mean())


@dataclass(frozen=True, kw_only=True)
class ReconstructionMSE(ReconstructionMetric):
    """Mean squared error per element, on [-1, 1], of reconstructions that are not clamped.

    Args:
        scale: What it is multiplied with.
    """

    scale: float = 1.0

    def compare(self, x: Tensor, rec: Tensor) -> Tensor:
        """(n,) mean squared errors."""
        return self.scale * (x - rec).square().mean(dim=(1, 2, 3))


@dataclass(frozen=True, kw_only=True)
class ReconstructionRMSE(ReconstructionMetric):
    """Root of the mean squared error over all elements, of reconstructions that are not clamped.

    Args:
        scale: What a difference on [-1, 1] is multiplied with: 127.5 counts in steps of 8-bit pictures, 0.5 on [0, 1].
    """

    scale: float = 1.0

    def compare(self, x: Tensor, rec: Tensor) -> Tensor:
        """(n,) mean squared errors."""
        return (self.scale * (x - rec)).square().mean(dim=(1, 2, 3))

    def summary(self, values: Tensor) -> float:
        """The root of the mean."""
        return float(values.mean().sqrt())


class ReconstructionMAE(ReconstructionMetric):
    """Mean absolute error per element, on [-1, 1], of reconstructions that are not clamped."""

    def compare(self, x: Tensor, rec: Tensor) -> Tensor:
        """(n,) mean absolute errors."""
        return (x - rec).abs().mean(dim=(1, 2, 3))


class ReconstructionPSNR(ReconstructionMetric):
    """Peak signal-to-noise ratio in dB of reconstructions clamped to [-1, 1] (peak-to-peak 2), mean over pictures."""

    higher_is_better = True

    def compare(self, x: Tensor, rec: Tensor) -> Tensor:
        """(n,) ratios in dB; infinite for an exact copy."""
        return 10 * torch.log10(4 / (x - rec.clamp(-1, 1)).square().mean(dim=(1, 2, 3)))


class ReconstructionSSIM(ReconstructionMetric):
    """Structural similarity (Wang et al. 2004) of reconstructions clamped to [-1, 1], mean over pictures.

    The usual constants (Gaussian window of 11 pixels and sigma 1.5, K1 = 0.01, K2 = 0.03, peak-to-peak 2), for each
    channel. As in torchmetrics, which computes it, the borders count as well, with mirrored pixels beyond them.
    """

    higher_is_better = True

    def compare(self, x: Tensor, rec: Tensor) -> Tensor:
        """(n,) similarities, 1 for an exact copy."""
        # In float64: the variances are differences of nearly equal numbers.
        pair = (rec.double().clamp(-1, 1), x.double())
        similarity = structural_similarity_index_measure(*pair, data_range=2.0, reduction="none")
        assert isinstance(similarity, Tensor)
        return similarity.reshape(len(x))


@dataclass(frozen=True, kw_only=True)
class ReconstructionDistance(ReconstructionMetric):
    """Mean distance of originals and reconstructions in the features of a network.

    Args:
        distance: The network's distance; it is "LPIPS" only with the published networks.
        clamp: Whether reconstructions are clamped to [-1, 1] first, as pictures; losses take them as they are.
        scale: What the mean is multiplied with.
    """

    distance: ImageDistance
    clamp: bool = True
    scale: float = 1.0

    def measure(self, subject: Subject, pairs: Iterable[tuple[Tensor, Tensor]], split: str) -> Measurement:
        """As for any of them, with the name of the network."""
        measured = super().measure(subject, pairs, split)
        return replace(measured, extractor=self.distance.name, resize=self.distance.resize)

    def compare(self, x: Tensor, rec: Tensor) -> Tensor:
        """(n,) distances."""
        return self.scale * self.distance(x, rec.clamp(-1, 1) if self.clamp else rec)

    def check(self, data: "ImageDataModule") -> None:
        """Refuses an empty split, and a network without its weights (UserError)."""
        super().check(data)
        _ = self.distance.name
