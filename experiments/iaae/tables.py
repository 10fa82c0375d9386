"""Tables 1 to 5 from the recorded results beside the paper's numbers, and what the paper leaves open.

``python -m experiments.iaae.tables --scale cpu`` (from the top of the checkout) prints them and writes Markdown and CSV
into ``experiments/iaae/out/<scale>/``. Our entries are mean ± standard deviation over seeds (how many).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import product

import numpy as np

from aestyle.studies.claims import SIGNIFICANCE
from aestyle.studies.recording import Noted, show_tables
from aestyle.studies.results import Result, Results
from aestyle.studies.showing import Options, command
from aestyle.studies.tables import MISSING, Cell, Table, detectable, holm, welch
from experiments.iaae.paper import FOLDER, MODELS, VARIANTS, Paper

Row = tuple[str | Cell, ...]

QUALITY = ("fid", "is", "fid_batch", "mse")
LATENT = ("sigma", "median", "collapsed", "mu", "dead", "covariance", "kl")

COURSE = ("largest mean |σ|", "epoch", "at the end", "runs that lost half", "lost half at epoch")

SMALL = (
    "Ours are judged by an offline feature network: no number is comparable with the paper's FID or IS, only their "
    "order is."
)
SWEEPS = {
    "depth of the mapping": {0: "aae", 2: "mapping_2", 4: "latent_mapping", 8: "mapping_8"},
    "steps of D, n": {1: "aae", 2: "n_2", 3: "n_iter", 5: "n_5"},
    "weight of the KLD, β": {0: "aae", 0.01: "beta_001", 0.1: "kld_loss", 1: "beta_1"},
}
"""Runs without a data set in their names are those of the sweep alone."""


@dataclass(frozen=True)
class Layout:
    """Where the entries of all tables come from.

    Args:
        results: the recorded runs.
        paper: the paper's numbers.
    """

    results: Results
    paper: Paper

    @property
    def scale(self) -> str:
        """``cpu`` or ``paper``."""
        return self.results.scale

    @property
    def sets(self) -> list[str]:
        """The data sets of this scale."""
        return self.paper.datasets(self.scale)

    def ours(self, run: str, column: str) -> Cell:
        """A quantity of a run over seeds."""
        return Cell.of(self.results.value(run, self.paper.metric(column, self.scale)))

    def headings(self, columns: Sequence[str]) -> tuple[str, ...]:
        """Headings of columns at this scale."""
        return tuple(self.paper.heading(column, self.scale) for column in columns)

    def printed(self, data: str) -> Table:
        """One of Tables 1 to 5, or a part of it: one row a model."""
        rows = tuple(
            (
                self.paper.title(model),
                *(self.ours(f"{model}-{data}", column) for column in QUALITY),
                *(_number(self.paper.value(f"{model}-{data}", column)) for column in ("fid", "is")),
            )
            for model in MODELS
        )
        title = f"{self.paper.table_of(data)}: {self.paper.title(data)}"
        columns = ("model", *self.headings(QUALITY), "FID in the paper", "IS in the paper")
        table = Table(title, columns, rows)
        return reduce(lambda t, c: t.mark_best(self.headings([c])[0], self.paper.is_lower_better(c)), QUALITY, table)

    def differences(self, data: str) -> Table:
        """Which models differ from AAE by more than run-to-run noise."""
        metric = self.paper.metric("fid", self.scale)
        base = self.results.value(f"aae-{data}", metric)
        models = [model for model in MODELS if model != "aae"]
        values = [self.results.value(f"{model}-{data}", metric) for model in models]
        p = [welch(ours, base) for ours in values]
        rows = [
            (
                self.paper.title(model),
                _percent(_mean(ours) / _mean(base) - 1),
                _form(p_value, ".2g"),
                _form(corrected, ".2g"),
                _verdict(corrected, _mean(ours) - _mean(base)),
                _percent(detectable(ours, base) / _mean(base), sign=False),
                _percent(self._in_paper(model, data)),
            )
            for model, ours, p_value, corrected in zip(models, values, p, holm(p), strict=True)
        ]
        heading = self.paper.quantity("fid", self.scale)
        return Table(
            f"{self.paper.title(data)}: {heading} against AAE's",
            ("model", "difference", "p (Welch)", "p (Holm)", "verdict", "detectable", "difference in the paper"),
            tuple(rows),
        )

    def _in_paper(self, model: str, data: str) -> float:
        ours, base = (self.paper.value(f"{name}-{data}", "fid") for name in (model, "aae"))
        return ours / base - 1 if ours and base else math.nan

    def latent(self, data: str) -> Table:
        """The posteriors after training: one row a model."""
        rows = tuple((self.paper.title(m), *(self.ours(f"{m}-{data}", column) for column in LATENT)) for m in MODELS)
        return Table(f"{self.paper.title(data)}: posteriors after training", ("model", *self.headings(LATENT)), rows)

    def collapse(self, data: str) -> Table:
        """How mean |σ| went along the training: one row a model."""
        rows = tuple((self.paper.title(model), *self._course(f"{model}-{data}", data)) for model in MODELS)
        return Table(f"{self.paper.title(data)}: mean |σ| along the training", ("model", *COURSE), rows)

    def _course(self, run: str, data: str) -> Row:
        """What :data:`COURSE` says of a run."""
        seeds = [result for (name, _), result in sorted(self.results.found.items()) if name == run]
        found = [course for result in seeds if (course := Course.of(result, self.paper.epochs(data, 1.0)))]
        halves = [course.half for course in found if math.isfinite(course.half)]
        cells = (Cell.of([getattr(course, name) for course in found]) for name in ("peak", "at", "end"))
        return (*cells, f"{len(halves)} of {len(found)}" if found else MISSING, Cell.of(halves))

    def on_top(self) -> Table:
        """Techniques re-applied on top of a remedy, on the first data set."""
        main, rows = self.sets[0], list[Row]()
        for remedy, variant in product(("", "sigma_floor", "posterior_kl"), ("", "n_iter", "latent_mapping")):
            both = remedy and variant
            run = f"{remedy}_{variant}" if both else f"{remedy or variant or 'aae'}-{main}"
            names = (self.paper.title(remedy) if remedy else "none", self.paper.title(variant) if variant else "none")
            rows.append((*names, *(self.ours(run, column) for column in ("fid", "is", "mse", "sigma"))))
        headings = self.headings(("fid", "is", "mse", "sigma"))
        return Table(
            f"{self.paper.title(main)}: techniques on top of a remedy", ("remedy", "technique", *headings), tuple(rows)
        )

    def sweeps(self) -> Table:
        """Depth of the mapping, n and β, on the first data set."""
        main, columns = self.sets[0], ("fid", "mse", "sigma", "covariance")
        rows = tuple(
            (what, f"{value:g}", *(self.ours(self._swept(run, main), column) for column in columns))
            for what, settings in SWEEPS.items()
            for value, run in settings.items()
        )
        return Table(f"{self.paper.title(main)}: sweeps", ("of", "value", *self.headings(columns)), rows)

    def _swept(self, run: str, data: str) -> str:
        return f"{run}-{data}" if run in ("aae", *VARIANTS) else run

    def legacy(self) -> Table:
        """Whether the KLD loss as the authors' code has it changes anything: seed by seed."""
        main, rows = self.sets[0], list[Row]()
        for (run, seed), result in sorted(self.results.found.items()):
            base = self.results.found.get((f"aae-{main}", seed))
            if run == "kld_legacy" and base:
                equal = [result["metrics"].get(name) == value for name, value in base["metrics"].items()]
                curves = result.get("curves") == base.get("curves")
                rows.append((str(seed), f"{sum(equal)} of {len(equal)}", "yes" if curves else "no"))
        columns = ("seed", "metrics that equal AAE's to the last digit", "every value along the training as well")
        return Table(f"{self.paper.title(main)}: the KLD loss as printed", columns, tuple(rows))


@dataclass(frozen=True)
class Course:
    """How mean |σ| went in one run.

    Args:
        peak: its largest value.
        at: the epoch of it.
        half: the first epoch after it with half of that or less; infinite if there is none.
        end: the last value.
    """

    peak: float
    at: float
    half: float
    end: float

    @classmethod
    def of(cls, result: Result, epochs_per_kimg: float) -> "Course | None":
        """From a result's curve, if it has one."""
        curve = result.get("curves", {}).get("latent_sigma")
        if not curve:
            return None
        kimg, sigma = np.array(curve, dtype=float).T
        top = int(sigma.argmax())
        lost = np.flatnonzero(sigma[top:] <= sigma[top] / 2)
        half = float(kimg[top + lost[0]]) if len(lost) else math.inf
        return cls(float(sigma[top]), kimg[top] * epochs_per_kimg, half * epochs_per_kimg, float(sigma[-1]))


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else math.nan


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:g}"


def _form(value: float, form: str) -> str:
    return "" if math.isnan(value) else format(value, form)


def _percent(value: float, sign: bool = True) -> str:
    return "" if math.isnan(value) else f"{100 * value:{'+' if sign else ''}.1f} %"


def _verdict(p: float, difference: float) -> str:
    if math.isnan(p):
        return MISSING
    if p >= SIGNIFICANCE:
        return "not more than noise"
    return "better" if difference < 0 else "worse"


def all_tables(results: Results, paper: Paper) -> list[Noted]:
    """Those of the paper that this scale has data for, and ours."""
    layout = Layout(results, paper)
    small = (SMALL,) if layout.scale == "cpu" else ()
    sigma = "σ of the prior is 1; C is the covariance of the aggregate posterior."
    often = "Measured every 5 epochs; at scale=cpu, VAE-GAN every 45,000 pictures, of which it sees 90,000."
    bitwise = "That the weights are equal bit for bit is a test: `tests/methods/test_iaae.py`."
    noise = (
        "P values are those of Welch's t-test over seeds, and with Holm's correction for all models of the table; the "
        "verdict goes by the latter at 5 %. 'Detectable' is the difference that an uncorrected test would find with a "
        "probability of 80 %, given this scatter: differences below it can go unnoticed.",
        "The KLD loss of the authors' code has no effect (see below): if the paper's is that one, its difference from "
        "AAE in the paper is run-to-run noise.",
    )
    return [
        *(Noted(f"{paper.table_of(d).lower().replace(' ', '')}-{d}", layout.printed(d), small) for d in layout.sets),
        *(Noted(f"differences-{d}", layout.differences(d), noise) for d in layout.sets),
        *(Noted(f"posteriors-{d}", layout.latent(d), (sigma,)) for d in layout.sets),
        *(Noted(f"collapse-{d}", layout.collapse(d), (often,)) for d in layout.sets),
        Noted("on_top", layout.on_top(), ()),
        Noted("sweeps", layout.sweeps(), ()),
        Noted("legacy", layout.legacy(), (bitwise,)),
    ]


def main(options: Options) -> None:
    """Prints and writes the tables."""
    results, paper = options.results(), Paper.load()
    show_tables(all_tables(results, paper), results, options.output)


if __name__ == "__main__":
    command(main, __doc__, FOLDER)
