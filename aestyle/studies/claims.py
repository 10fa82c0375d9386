"""Claims that recorded runs can decide, and what they say.

What counts, for all of them alike:

* A comparison says that one quantity lies below ``bound`` times another one. Both are sets of values over seeds, one a
  run. Welch's t-test (two-sided, variances not assumed equal) compares the one with ``bound`` times the other. Where
  values belong together in pairs, such as those of one picture, it is the paired t-test.
* It **holds** where the mean lies below and p < 0.05, it **does not hold** where the mean lies above and p < 0.05, and
  it is **undecidable** otherwise: the seeds scatter more than the effect, or runs are missing.
* A claim holds if all its comparisons hold (of a claim that two things differ: if any does), does not hold if one of
  them does not, and is undecidable otherwise.

The p values are not corrected for the number of comparisons: with two dozen of them, one near 0.05 means little.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Literal

import numpy as np
from rich.console import Console
from scipy.stats import ttest_rel

from aestyle.studies.tables import Cell, Table, welch

BySeed = Callable[[str, str], dict[int, float]]
"""(run, column) -> the values over seeds."""

Value = Callable[[str, str], float | None]
"""(run, column) -> the number that a paper prints, if any."""

SIGNIFICANCE = 0.05


# -- what is claimed -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Quantity:
    """One column of the tables for one run.

    Args:
        run: its name in the study.
        column: what is measured of it.
        base: run whose value of the same seed it is divided by.
    """

    run: str
    column: str
    base: str | None = None

    @property
    def runs(self) -> tuple[str, ...]:
        """The runs it needs."""
        return (self.run,) if self.base is None else (self.run, self.base)

    def values(self, by_seed: BySeed) -> list[float]:
        """Its values over seeds, where ``by_seed(run, column)`` gives those of one run."""
        return list(self.keyed(by_seed).values())

    def keyed(self, by_seed: BySeed) -> dict[int, float]:
        """Its values by seed."""
        values = by_seed(self.run, self.column)
        if self.base is None:
            return values
        base = by_seed(self.base, self.column)
        return {seed: values[seed] / base[seed] for seed in values if seed in base}

    def __str__(self) -> str:
        return self.run if self.base is None else f"{self.run} per {self.base}"


@dataclass(frozen=True)
class Below:
    """``a`` lies below ``bound`` times ``b``; both are of the same column, or of two in the same unit.

    Args:
        a: one side.
        b: the other.
        bound: factor on it.
        paired: values of both sides with the same number belong together.
    """

    a: Quantity
    b: Quantity
    bound: float = 1.0
    paired: bool = False

    @property
    def columns(self) -> str:
        """What is compared."""
        return ", ".join(dict.fromkeys((self.a.column, self.b.column)))

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


# -- the verdict -----------------------------------------------------------------------------------------------------


class Verdict(StrEnum):
    """What the runs say."""

    HOLDS = "holds"
    FAILS = "does not hold"
    OPEN = "undecidable"


@dataclass(frozen=True)
class Outcome:
    """One comparison on the recorded runs.

    Args:
        comparison: what was compared.
        a: values of the left side over seeds.
        b: values of the right side over seeds.
        verdict: what they say.
        p: of the test; None where it cannot be made.
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


def judge(claim: Claim, by_seed: BySeed) -> Judgement:
    """Decides a claim by the rules at the top of this module."""
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


def compare_pairs(a: Sequence[float], b: Sequence[float], bound: float = 1.0) -> tuple[Verdict, float | None, str]:
    """Whether ``a`` lies below ``bound`` times ``b``, by a paired t-test.

    Args:
        a: values.
        b: their partners, in the same order.
        bound: factor on ``b``.

    Returns:
        As of :func:`compare`.
    """
    scaled = bound * np.asarray(b, dtype=float)
    differences = np.asarray(a, dtype=float) - scaled
    if len(differences) < 2:
        return Verdict.OPEN, None, "fewer than two pairs"
    same = np.ptp(differences) == 0
    p = float(differences[0] == 0) if same else float(ttest_rel(a, scaled).pvalue)
    if p >= SIGNIFICANCE:
        return Verdict.OPEN, p, "the pairs scatter more than the effect"
    return (Verdict.HOLDS if differences.mean() < 0 else Verdict.FAILS), p, ""


def _compare(comparison: Below, by_seed: BySeed) -> Outcome:
    sides = (comparison.a, comparison.b)
    needed = [(run, side.column) for side in sides for run in side.runs]
    left, right = (side.keyed(by_seed) for side in sides)
    a, b = tuple(left.values()), tuple(right.values())
    if absent := tuple(dict.fromkeys(run for run, column in needed if not by_seed(run, column))):
        return Outcome(comparison, a, b, Verdict.OPEN, missing=absent)
    if comparison.paired:
        both = [key for key in left if key in right]
        found = compare_pairs([left[key] for key in both], [right[key] for key in both], comparison.bound)
    else:
        found = compare(a, b, comparison.bound)
    verdict, p, reason = found
    return Outcome(comparison, a, b, verdict, p, reason)


def ratio_in_paper(comparison: Below, printed: Value) -> float | None:
    """Left side per right side in the paper's own numbers; None where it has none."""

    def by_seed(run: str, column: str) -> dict[int, float]:
        value = printed(run, column)
        return {} if value is None else {0: value}

    a, b = (side.values(by_seed) for side in (comparison.a, comparison.b))
    return a[0] / b[0] if a and b else None


# -- for people ------------------------------------------------------------------------------------------------------


def said_by_paper(claims: Sequence[Claim], printed: Value) -> list[str]:
    """For each claim, how the paper's own numbers stand to it: the range of the ratios, and how many are as claimed.

    Args:
        claims: with the runs of paper scale.
        printed: the paper's numbers.
    """
    said = []
    for claim in claims:
        pairs = [(ratio_in_paper(comparison, printed), comparison.bound) for comparison in claim.comparisons]
        known = [(ratio, bound) for ratio, bound in pairs if ratio is not None]
        ratios = [ratio for ratio, _ in known]
        agreeing = sum(ratio < bound for ratio, bound in known)
        said.append(f"{min(ratios):.2f} to {max(ratios):.2f}, {agreeing} of {len(known)} as claimed" if known else "-")
    return said


def summary(judgements: Sequence[Judgement], said: Sequence[str]) -> Table:
    """One row a claim, with what :func:`said_by_paper` gives for it."""
    rows = tuple(
        (str(number), j.claim.source, j.claim.statement, str(j.verdict), j.reason, ratios)
        for number, (j, ratios) in enumerate(zip(judgements, said, strict=True), start=1)
    )
    return Table("Claims", ("", "of", "claim", "verdict here", "because", "ratios in the paper"), rows)


def details(judgements: Sequence[Judgement]) -> Table:
    """One row a comparison."""
    rows = tuple(
        (
            str(number),
            str(outcome.comparison),
            outcome.comparison.columns,
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


def show_claims(judgements: Sequence[Judgement], said: Sequence[str], folder: Path) -> None:
    """Prints claims and writes them."""
    write_claims(judgements, said, folder)
    Console().print(*in_lines(judgements), *cautions(judgements), sep="\n", highlight=False)


def write_claims(judgements: Sequence[Judgement], said: Sequence[str], folder: Path) -> None:
    """Writes ``claims`` and ``comparisons`` as Markdown and CSV."""
    summary(judgements, said).write(folder, "claims")
    details(judgements).write(folder, "comparisons")


def _number(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)
