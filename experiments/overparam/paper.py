"""What the paper prints and which of our numbers stands beside it: ``paper.yaml`` in memory."""

from pathlib import Path

from aestyle.studies.printed import Printed

FILE = Path(__file__).with_name("paper.yaml")


class Paper(Printed):
    """The numbers of Tables 1 to 4."""

    @classmethod
    def load(cls) -> "Paper":
        """Reads ``paper.yaml``."""
        return cls.read(FILE)

    def value(self, run: str, column: str) -> float | None:
        """The printed number of a run or an inversion, from the table that has it."""
        rows = (self.content[table].get(run, {}) for table in ("table1", "table2", "table3"))
        return next((float(row[column]) for row in rows if column in row), None)
