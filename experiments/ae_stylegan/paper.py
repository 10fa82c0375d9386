"""What the paper prints and which of our metrics stands beside it: ``paper.yaml`` in memory."""

from pathlib import Path

from aestyle.studies.printed import Printed

FILE = Path(__file__).with_name("paper.yaml")

BY_DATASET = ("table1", "table2", "table3")
"""Tables whose rows are data sets; those of the others are runs."""


class Paper(Printed):
    """The numbers of Tables 1 to 5."""

    @classmethod
    def load(cls) -> "Paper":
        """Reads ``paper.yaml``."""
        return cls.read(FILE)

    def value(self, run: str, column: str) -> float | None:
        """The printed number of a run (``alae-ffhq``, ``shared_joint_1``), from the first table that has it."""
        model, _, dataset = run.rpartition("-")
        for name in ("table1", "table2", "table3", "table4", "table5"):
            table = self.content[name]
            row = table.get(dataset, {}).get(model, {}) if name in BY_DATASET else table.get(run, {})
            if column in row:
                return float(row[column])
        return None
