"""What the paper prints and which of our metrics stands beside it: ``paper.yaml`` in memory."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

FILE = Path(__file__).with_name("paper.yaml")

BY_DATASET = ("table1", "table2", "table3")
"""Tables whose rows are data sets; those of the others are runs."""


@dataclass(frozen=True)
class Paper:
    """The numbers of Tables 1 to 5, and how a scale's results are laid out beside them.

    Args:
        content: ``paper.yaml`` as nested dictionaries.
    """

    content: dict[str, Any]

    @classmethod
    def load(cls, path: Path = FILE) -> "Paper":
        """Reads ``paper.yaml``."""
        return cls(OmegaConf.to_container(OmegaConf.load(path)))  # type: ignore[arg-type]

    def datasets(self, scale: str) -> list[str]:
        """The data sets of Tables 1 to 3 at this scale."""
        return list(self.content["datasets"][scale])

    def main_dataset(self, scale: str) -> str:
        """The data set of the runs that have none in their names (Table 4 at paper scale has its own)."""
        return self.datasets(scale)[0]

    def title(self, name: str) -> str:
        """A data set or model as people write it."""
        return str(self.content["titles"][name])

    def metric(self, column: str, scale: str) -> str:
        """Name of the metric that stands in this column at this scale."""
        return str(self.content["columns"][column][scale]["metric"])

    def is_lower_better(self, column: str) -> bool:
        """Whether small numbers of this column are good."""
        return bool(self.content["columns"][column]["better"] == "lower")

    def heading(self, column: str, scale: str) -> str:
        """Heading of this column at this scale, with an arrow towards the better."""
        arrow = "↓" if self.is_lower_better(column) else "↑"
        return f"{self.content['columns'][column][scale]['title']} {arrow}"

    def value(self, run: str, column: str) -> float | None:
        """The printed number of a run (``alae-ffhq``, ``shared_joint_1``), from the first table that has it."""
        model, _, dataset = run.rpartition("-")
        for name in ("table1", "table2", "table3", "table4", "table5"):
            table = self.content[name]
            row = table.get(dataset, {}).get(model, {}) if name in BY_DATASET else table.get(run, {})
            if column in row:
                return float(row[column])
        return None
