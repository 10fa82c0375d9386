"""Which claims of the paper, and of our own reading of its code, the recorded runs bear out.

``python -m experiments.ae_stylegan.claims --scale cpu`` (from the top of the checkout) prints them and writes them into
``experiments/ae_stylegan/out/<scale>/``.

What counts, for all of them alike:

* A comparison says that one quantity lies below ``bound`` times another one. Both are sets of values over seeds, one a
  run. Welch's t-test (two-sided, variances not assumed equal) compares the one with ``bound`` times the other.
* It **holds** where the mean lies below and p < 0.05, it **does not hold** where the mean lies above and p < 0.05, and
  it is **undecidable** otherwise: the seeds scatter more than the effect, or runs are missing.
* "Twice as good" is a bound of 1/2; "about a third lower" is tested as a quarter lower at least (bound 3/4); "the same"
  is tested as less than a quarter more in either direction (two bounds of 5/4).
* A claim holds if all its comparisons hold (of a claim that two things differ: if any does), does not hold if one of
  them does not, and is undecidable otherwise.
* Quantities "per base" are divided, seed by seed, by those of the base run of the same seed.

The p values are not corrected for the number of comparisons: with two dozen of them, one near 0.05 means little.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import product
from pathlib import Path
from typing import Literal

import numpy as np
from rich.console import Console

from aestyle.studies.results import Results
from aestyle.studies.tables import Cell, Table, welch
from experiments.ae_stylegan.options import Options, command
from experiments.ae_stylegan.paper import Paper

SIGNIFICANCE = 0.05
TWICE, A_QUARTER_LOWER, ALIKE = 1 / 2, 3 / 4, 5 / 4


class Verdict(StrEnum):
    """What the runs say."""

    HOLDS = "holds"
    FAILS = "does not hold"
    OPEN = "undecidable"


# -- what is compared ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Quantity:
    """One column of the tables for one run.

    Args:
        run: its name in the study.
        column: its name in ``paper.yaml``.
        base: run whose value of the same seed it is divided by.
    """

    run: str
    column: str
    base: str | None = None

    @property
    def runs(self) -> tuple[str, ...]:
        """The runs it needs."""
        return (self.run,) if self.base is None else (self.run, self.base)

    def values(self, by_seed: Callable[[str, str], dict[int, float]]) -> list[float]:
        """Its values over seeds, where ``by_seed(run, column)`` gives those of one run."""
        values = by_seed(self.run, self.column)
        if self.base is None:
            return list(values.values())
        base = by_seed(self.base, self.column)
        return [values[seed] / base[seed] for seed in values if seed in base]

    def __str__(self) -> str:
        return self.run if self.base is None else f"{self.run} per {self.base}"


@dataclass(frozen=True)
class Below:
    """``a`` lies below ``bound`` times ``b``; both are of the same column."""

    a: Quantity
    b: Quantity
    bound: float = 1.0

    def __str__(self) -> str:
        factor = "" if self.bound == 1 else f"{self.bound:g} × "
        return f"{self.a} < {factor}{self.b}"


@dataclass(frozen=True)
class Claim:
    """A sentence and the comparisons that decide it.

    Args:
        source: where it comes from.
        statement: the sentence.
        comparisons: what has to be so.
        needs: all of the comparisons, or any.
        caution: what the verdict does not say.
    """

    source: str
    statement: str
    comparisons: tuple[Below, ...]
    needs: Literal["all", "any"] = "all"
    caution: str = ""


def all_claims(paper: Paper, scale: str) -> list[Claim]:
    """The claims, with the runs that this scale has."""
    return [*_ablation(), *_adaptive_weight(paper, scale), *_main_tables(paper.datasets(scale)), *_facts(paper, scale)]


MSE = {"mse": "MSE on training pictures", "mse_held_out": "MSE on held-out pictures"}
"""Claims about reconstructions are tested on both: the first as the paper does, the second as one should."""


def _ablation() -> Iterator[Claim]:
    designs = ("decoupled", "shared")
    for column, what in MSE.items():
        yield Claim(
            "Table 4",
            f"updating G in the AE step makes the reconstruction about a third better with one E step ({what})",
            tuple(_below(column, f"{d}_joint_1", f"{d}_frozen_1", A_QUARTER_LOWER) for d in designs),
        )
        yield Claim(
            "Table 4",
            f"updating G in the AE step makes the reconstruction better at all, one E step or four ({what})",
            tuple(_below(column, f"{d}_joint_{n}", f"{d}_frozen_{n}") for d in designs for n in (1, 4)),
        )
        yield Claim(
            "Table 4",
            f"four E steps instead of one help a joint G more than a frozen one ({what})",
            tuple(
                Below(
                    Quantity(f"{d}_joint_4", column, base=f"{d}_joint_1"),
                    Quantity(f"{d}_frozen_4", column, base=f"{d}_frozen_1"),
                )
                for d in designs
            ),
        )
        yield Claim(
            "Figure 5",
            f"the decoupled encoder lags behind the generator: it reconstructs worse than the joint model ({what})",
            (_below(column, "shared_joint_1", "decoupled_frozen_1"),),
        )
        yield Claim(
            "Figure 5",
            "… because the generator moves: an encoder trained as long on the finished generator reconstructs better "
            f"({what})",
            (_below(column, "two_stage", "decoupled_frozen_1"),),
        )


def _adaptive_weight(paper: Paper, scale: str) -> list[Claim]:
    main = paper.main_dataset(scale)
    pairs = [(f"{model}-{main}", f"{model}_nobeta") for model in ("joint_w", "joint_w_plus")]
    return [
        Claim(
            "Table 5",
            f"adaptive β helps ({what})",
            tuple(_below(column, run, without) for run, without in pairs),
        )
        for column, what in (*MSE.items(), ("fid", "distance of samples"))
    ]


def _main_tables(datasets: Sequence[str]) -> list[Claim]:
    ours = ("joint_w", "joint_w_plus")

    def each(columns: Iterable[str], better: Iterable[str], worse: str, bound: float = 1.0) -> tuple[Below, ...]:
        return tuple(
            _below(column, f"{model}-{data}", f"{worse}-{data}", bound)
            for data, model, column in product(datasets, tuple(better), tuple(columns))
        )

    def more_diverse_than(other: str) -> tuple[Below, ...]:
        return tuple(_below("lpips", f"{other}-{data}", f"{model}-{data}") for data in datasets for model in ours)

    paths = ("ppl_full", "ppl_end")
    paths_caution = (
        "A generator whose samples vary less has shorter paths: read it beside the diversity of the samples."
    )
    return [
        *(
            claim
            for column, what in MSE.items()
            for claim in (
                Claim(
                    "Table 3",
                    f"AE-StyleGAN reconstructs more than twice as well as ALAE ({what})",
                    each([column], ours, "alae", TWICE),
                    caution="If the paper's MSE is a root mean square, its twice would be a factor of four here.",
                ),
                Claim(
                    "Table 3",
                    f"it reconstructs better than ALAE at all ({what})",
                    each([column], ours, "alae"),
                ),
                Claim("Table 3", f"W+ reconstructs better than W ({what})", each([column], ours[1:], "joint_w")),
            )
        ),
        Claim(
            "Table 2",
            "easy to invert, hence more disentangled: shorter paths than StyleGAN2 (W+)",
            each(paths, ["joint_w_plus"], "stylegan2"),
            caution=paths_caution,
        ),
        Claim(
            "Table 2",
            "shorter paths than ALAE (W+)",
            each(paths, ["joint_w_plus"], "alae"),
            caution=paths_caution,
        ),
        Claim("Table 1", "samples nearer to the data than ALAE's", each(["fid"], ours, "alae")),
        Claim(
            "Table 1", "samples nearer to the data than StyleGAN2's (W+)", each(["fid"], ["joint_w_plus"], "stylegan2")
        ),
        Claim("Table 1", "samples more diverse than ALAE's", more_diverse_than("alae")),
        Claim("Table 1", "samples more diverse than StyleGAN2's", more_diverse_than("stylegan2")),
    ]


def _facts(paper: Paper, scale: str) -> list[Claim]:
    base = f"joint_w_plus-{paper.main_dataset(scale)}"

    def inverts_better(column: str, what: str) -> Claim:
        statement = f"trained together, E and G reconstruct better than an encoder for a finished StyleGAN2 ({what})"
        return Claim("Introduction", statement, (_below(column, base, "two_stage"),))

    def alike(column: str, run: str) -> tuple[Below, Below]:
        return _below(column, run, base, ALIKE), _below(column, base, run, ALIKE)

    def apart(column: str, run: str) -> tuple[Below, Below]:
        return _below(column, run, base), _below(column, base, run)

    return [
        *(inverts_better(column, what) for column, what in MSE.items()),
        Claim(
            "our reading",
            "λ_adv cancels under adaptive β: 1 instead of 0.1 changes nothing",
            (*alike("mse", "lambda_adv_1"), *alike("fid", "lambda_adv_1")),
            caution="It also weighs the AE step until β sets in, where it does not cancel.",
        ),
        Claim(
            "our reading",
            "the `official` and `paper` weights of Equation 5 give different models",
            (*apart("mse", "official"), *apart("fid", "official")),
            needs="any",
        ),
    ]


def _below(column: str, a: str, b: str, bound: float = 1.0) -> Below:
    return Below(Quantity(a, column), Quantity(b, column), bound)


# -- the verdict -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Outcome:
    """One comparison on the recorded runs.

    Args:
        comparison: what was compared.
        a: values of the left side over seeds.
        b: values of the right side over seeds.
        verdict: what they say.
        p: of Welch's test; None where it cannot be made.
        reason: why it is undecidable, or empty.
        missing: runs that it needs and that have no such result.
    """

    comparison: Below
    a: tuple[float, ...]
    b: tuple[float, ...]
    verdict: Verdict
    p: float | None = None
    reason: str = ""
    missing: tuple[str, ...] = ()

    @property
    def ratio(self) -> float | None:
        """Mean of the left side per mean of the right side."""
        return float(np.mean(self.a) / np.mean(self.b)) if self.a and self.b and np.mean(self.b) else None


@dataclass(frozen=True)
class Judgement:
    """A claim, what its comparisons gave, and what follows."""

    claim: Claim
    outcomes: tuple[Outcome, ...]

    @property
    def verdict(self) -> Verdict:
        """What follows for the claim; see the rules at the top of this module."""
        verdicts = [outcome.verdict for outcome in self.outcomes]
        if self.claim.needs == "any":  # finding no difference does not show that there is none
            return Verdict.HOLDS if Verdict.HOLDS in verdicts else Verdict.OPEN
        return next(v for v in (Verdict.FAILS, Verdict.OPEN, Verdict.HOLDS) if v in verdicts)

    @property
    def reason(self) -> str:
        """How many comparisons say what, and why some are undecidable."""
        verdicts = [outcome.verdict for outcome in self.outcomes]
        told = [f"{verdicts.count(v)} {v}" for v in Verdict if v in verdicts]
        absent = dict.fromkeys(run for outcome in self.outcomes for run in outcome.missing)
        missing = [f"missing runs: {', '.join(absent)}"] if absent else []
        reasons = dict.fromkeys(outcome.reason for outcome in self.outcomes if outcome.reason)
        return "; ".join([f"comparisons: {', '.join(told)}", *missing, *reasons])


def judge(claim: Claim, results: Results, paper: Paper, scale: str) -> Judgement:
    """Decides a claim by the rules at the top of this module."""

    def by_seed(run: str, column: str) -> dict[int, float]:
        return results.by_seed(run, paper.metric(column, scale))

    return Judgement(claim, tuple(_compare(comparison, by_seed) for comparison in claim.comparisons))


def compare(a: Sequence[float], b: Sequence[float], bound: float = 1.0) -> tuple[Verdict, float | None, str]:
    """Whether ``a`` lies below ``bound`` times ``b``, by Welch's t-test.

    Args:
        a: values over seeds.
        b: likewise, not necessarily as many.
        bound: factor on ``b``.

    Returns:
        The verdict, p, and why it is undecidable (or nothing).
    """
    scaled = bound * np.asarray(b, dtype=float)
    if len(a) < 2 or len(scaled) < 2:
        return Verdict.OPEN, None, "fewer than two seeds"
    difference = float(np.mean(a) - np.mean(scaled))
    # Without any scatter the test would divide by zero.
    same = np.ptp(a) == 0 and np.ptp(scaled) == 0
    p = float(difference == 0) if same else welch(a, scaled.tolist())
    if p >= SIGNIFICANCE:
        return Verdict.OPEN, p, "the seeds scatter more than the effect"
    return (Verdict.HOLDS if difference < 0 else Verdict.FAILS), p, ""


def _compare(comparison: Below, by_seed: Callable[[str, str], dict[int, float]]) -> Outcome:
    runs = dict.fromkeys((*comparison.a.runs, *comparison.b.runs))
    column = comparison.a.column
    a, b = (tuple(side.values(by_seed)) for side in (comparison.a, comparison.b))
    if absent := tuple(run for run in runs if not by_seed(run, column)):
        return Outcome(comparison, a, b, Verdict.OPEN, missing=absent)
    verdict, p, reason = compare(a, b, comparison.bound)
    return Outcome(comparison, a, b, verdict, p, reason)


def ratio_in_paper(comparison: Below, paper: Paper) -> float | None:
    """Left side per right side in the paper's own numbers; None where it has none."""

    def printed(run: str, column: str) -> dict[int, float]:
        value = paper.value(run, column)
        return {} if value is None else {0: value}

    a, b = (side.values(printed) for side in (comparison.a, comparison.b))
    return a[0] / b[0] if a and b else None


# -- for people ------------------------------------------------------------------------------------------------------


def judge_all(results: Results, paper: Paper, scale: str) -> list[Judgement]:
    """Every claim on the recorded runs of a scale."""
    return [judge(claim, results, paper, scale) for claim in all_claims(paper, scale)]


def said_by_paper(paper: Paper) -> list[str]:
    """For each claim, how the paper's own numbers stand to it: the range of the ratios, and how many are as claimed."""
    said = []
    for claim in all_claims(paper, "paper"):
        pairs = [(ratio_in_paper(comparison, paper), comparison.bound) for comparison in claim.comparisons]
        known = [(ratio, bound) for ratio, bound in pairs if ratio is not None]
        ratios = [ratio for ratio, _ in known]
        agreeing = sum(ratio < bound for ratio, bound in known)
        said.append(f"{min(ratios):.2f} to {max(ratios):.2f}, {agreeing} of {len(known)} as claimed" if known else "-")
    return said


def summary(judgements: Sequence[Judgement], paper: Paper) -> Table:
    """One row a claim."""
    rows = tuple(
        (str(number), j.claim.source, j.claim.statement, str(j.verdict), j.reason, said)
        for number, (j, said) in enumerate(zip(judgements, said_by_paper(paper), strict=True), start=1)
    )
    return Table("Claims", ("", "of", "claim", "verdict here", "because", "ratios in the paper"), rows)


def details(judgements: Sequence[Judgement]) -> Table:
    """One row a comparison."""
    rows = tuple(
        (
            str(number),
            str(outcome.comparison),
            outcome.comparison.a.column,
            Cell(outcome.a),
            Cell(outcome.b),
            _number(outcome.ratio, ".3f"),
            _number(outcome.p, ".2g"),
            str(outcome.verdict),
        )
        for number, judgement in enumerate(judgements, start=1)
        for outcome in judgement.outcomes
    )
    headings = ("claim", "comparison", "column", "left", "right", "left / right", "p (Welch)", "verdict")
    return Table("Comparisons behind the claims", headings, rows)


def cautions(judgements: Sequence[Judgement]) -> list[str]:
    """What verdicts do not say, by the claims' numbers."""
    told: dict[str, list[str]] = {}
    for number, judgement in enumerate(judgements, start=1):
        told.setdefault(judgement.claim.caution, []).append(str(number))
    return [f"To {', '.join(numbers)}: {caution}" for caution, numbers in told.items() if caution]


def in_lines(judgements: Sequence[Judgement]) -> list[str]:
    """A line for each claim, for terminals."""
    styles = {Verdict.HOLDS: "green", Verdict.FAILS: "red", Verdict.OPEN: "yellow"}
    return [
        f"{n:2} [{styles[j.verdict]}]{j.verdict}[/]: {j.claim.source}: {j.claim.statement} ({j.reason})"
        for n, j in enumerate(judgements, start=1)
    ]


def write_claims(judgements: Sequence[Judgement], paper: Paper, folder: Path) -> None:
    """Writes ``claims`` and ``comparisons`` as Markdown and CSV."""
    summary(judgements, paper).write(folder, "claims")
    details(judgements).write(folder, "comparisons")


def _number(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


def main(options: Options) -> None:
    """Prints and writes the claims."""
    paper = Paper.load()
    judgements = judge_all(options.results(), paper, options.scale)
    write_claims(judgements, paper, options.output)
    Console().print(*in_lines(judgements), *cautions(judgements), sep="\n", highlight=False)


if __name__ == "__main__":
    command(main, __doc__)
