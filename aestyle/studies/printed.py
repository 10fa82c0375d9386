"""What a paper prints, and which of our metrics stands beside it: a study's ``paper.yaml`` in memory."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from omegaconf import OmegaConf

from aestyle.studies.claims import BySeed
from aestyle.studies.results import Results


@dataclass(frozen=True)
class Printed(ABC):
    """The numbers of a paper's tables, and how a scale's results are laid out beside them.

    The file has ``titles`` of data sets and models, ``datasets`` of each scale, and ``columns``: for each whether
    lower or higher is ``better``, and for each scale its ``title`` and ``metric``, and another metric of the same run
    that this one is divided by (``per``), if any.

    Args:
        content: the file as nested dictionaries.
    """

    content: dict[str, Any]

    @classmethod
    def read(cls, path: Path) -> Self:
        """Reads the file."""
        return cls(OmegaConf.to_container(OmegaConf.load(path)))  # type: ignore[arg-type]

    @abstractmethod
    def value(self, run: str, column: str) -> float | None:
        """The printed number of a run at paper scale; None if there is none."""

    def datasets(self, scale: str) -> list[str]:
        """The data sets of the tables at this scale."""
        return list(self.content["datasets"][scale])

    def main_dataset(self, scale: str) -> str:
        """The data set of the runs that have none in their names (if they have not their own)."""
        return self.datasets(scale)[0]

    def title(self, name: str) -> str:
        """A data set or model as people write it."""
        return str(self.content["titles"][name])

    def metric(self, column: str, scale: str) -> str:
        """Name of the metric that stands in this column at this scale."""
        return str(self.content["columns"][column][scale]["metric"])

    def by_seed(self, results: Results, scale: str) -> BySeed:
        """Gives the values of a run in a column over seeds."""

        def values(run: str, column: str) -> dict[int, float]:
            found = results.by_seed(run, self.metric(column, scale))
            per = self.content["columns"][column][scale].get("per")
            base = results.by_seed(run, per) if per else dict.fromkeys(found, 1.0)
            return {seed: value / base[seed] for seed, value in found.items() if seed in base}

        return values

    def is_lower_better(self, column: str) -> bool:
        """Whether small numbers of this column are good."""
        return bool(self.content["columns"][column]["better"] == "lower")

    def heading(self, column: str, scale: str) -> str:
        """Heading of this column at this scale, with an arrow towards the better."""
        arrow = "↓" if self.is_lower_better(column) else "↑"
        return f"{self.quantity(column, scale)} {arrow}"

    def quantity(self, column: str, scale: str) -> str:
        """What stands in this column at this scale."""
        return str(self.content["columns"][column][scale]["title"])
