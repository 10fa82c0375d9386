"""How well a model reconstructs what it has generated itself (PIONEER, section 4.1)."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from aestyle.metrics.recipe import Measurement, Recipe, Subject
from aestyle.metrics.reconstruction import ReconstructionMetric
from aestyle.metrics.score import SAMPLES

if TYPE_CHECKING:
    from aestyle.data.datamodule import ImageDataModule


@dataclass(frozen=True, kw_only=True)
class OwnSamples(Recipe):
    """A reconstruction metric on samples of the prior in the place of real pictures.

    Args:
        of: the metric.
        num_images: how many samples.
        seed: of the samples.
    """

    of: ReconstructionMetric
    num_images: int
    seed: int = 0

    def __call__(self, subject: Subject) -> Measurement:
        """Reconstructs every sample once."""
        count = subject.count_samples(self.num_images, reference="train")
        measured = self.of.measure(subject, subject.sample_reconstructions(count, self.seed), SAMPLES)
        return replace(measured, metric=self.name, seed=self.seed)

    def check(self, data: "ImageDataModule") -> None:
        """Refuses what the metric refuses (UserError)."""
        self.of.check(data)


@dataclass(frozen=True, kw_only=True)
class SampleVariance(Recipe):
    """Mean squared error, on [-1, 1], of the mean of all samples: what is left of them without any code.

    Of real pictures it is ``mse_mean_image``. Errors of reconstructions compare between pictures that vary unequally
    as shares of it.

    Args:
        num_images: how many samples.
        seed: of the samples.
    """

    higher_is_better = True

    num_images: int
    seed: int = 0

    def __call__(self, subject: Subject) -> Measurement:
        """Draws the samples."""
        count = subject.count_samples(self.num_images, reference="train")
        samples = subject.gather(x.double() for x in subject.samples(count, self.seed))
        value = float((samples - samples.mean(dim=0)).square().mean())
        return Measurement(self.name, value, SAMPLES, len(samples), seed=self.seed)

    def check(self, data: "ImageDataModule") -> None:
        """Any data will do."""
