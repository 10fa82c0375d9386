"""What the paper prints and which of our metrics stands beside it: ``paper.yaml`` in memory."""

from pathlib import Path

from aestyle.studies.printed import Printed

FOLDER = Path("experiments") / "iaae"
"""From the top of the checkout, where every command is called."""

FILE = Path(__file__).with_name("paper.yaml")

VARIANTS = ("latent_mapping", "n_iter", "kld_loss", "feature", "equal_linear")
REMEDIES = ("sigma_floor", "sigma_fixed", "posterior_kl")
MODELS = ("aae", *VARIANTS, "iaae", *REMEDIES, "vaegan")


class Paper(Printed):
    """The numbers of Tables 1 to 5; a run is called ``<model>-<data set>``."""

    @classmethod
    def load(cls) -> "Paper":
        """Reads ``paper.yaml``."""
        return cls.read(FILE)

    def theirs(self, data: str) -> str:
        """The data set of the paper that one of ours stands beside."""
        return str(self.content["same_data"].get(data, data))

    def value(self, run: str, column: str) -> float | None:
        """The printed number of a run on one of the paper's data sets or ours; None if there is none."""
        model, _, data = run.rpartition("-")
        for table in self.content["tables"].values():
            number = table.get(self.theirs(data), {}).get(model, {}).get(column)
            if number is not None:
                return float(number)
        return None

    def table_of(self, data: str) -> str:
        """``Table 3`` for MNIST."""
        name = next(name for name, table in self.content["tables"].items() if self.theirs(data) in table)
        return name.replace("table", "Table ")

    def epochs(self, data: str, kimg: float) -> float:
        """Passes over the training pictures of a data set."""
        return kimg / float(self.content["epoch_kimg"][data])
