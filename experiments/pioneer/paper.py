"""What the paper prints and which of our metrics stands beside it: ``paper.yaml`` in memory."""

from pathlib import Path

from aestyle.studies.printed import Printed

FOLDER = Path("experiments") / "pioneer"
"""From the top of the checkout, where every command is called."""

FILE = Path(__file__).with_name("paper.yaml")


class Paper(Printed):
    """The numbers of Table 1 and of section 4.2."""

    @classmethod
    def load(cls) -> "Paper":
        """Reads ``paper.yaml``."""
        return cls.read(FILE)

    def value(self, run: str, column: str) -> float | None:
        """The printed number of a run."""
        return self._numbers(run, column)[0] if self._numbers(run, column) else None

    def text(self, run: str, column: str) -> str:
        """The number as printed, with its standard deviation over batches where it has one; empty if there is none."""
        return " ± ".join(f"{number:.2f}" for number in self._numbers(run, column))

    def _numbers(self, run: str, column: str) -> list[float]:
        rows = {**self.content["table1"], **self.content["lsun"]}
        return [float(number) for number in rows.get(run, {}).get(column, [])]
