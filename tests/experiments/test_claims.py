"""Verdicts on claims, from results whose verdict is known."""

import itertools
import math

import numpy as np
import pytest
from scipy.stats import t as student

from aestyle.studies.claims import Below, Claim, Judgement, Outcome, Quantity, Verdict, compare, details, judge, summary
from aestyle.studies.results import Results
from aestyle.studies.showing import Options
from experiments.ae_stylegan.claims import judge_all, printed_ratios
from experiments.ae_stylegan.statements import all_claims
from tests.experiments.recorded import PAPER, SCALE, Values, drawn, record, runs_of

HOLDS, FAILS, OPEN = Verdict.HOLDS, Verdict.FAILS, Verdict.OPEN


def welch_by_hand(a: np.ndarray, b: np.ndarray) -> float:
    va, vb = a.var(ddof=1) / len(a), b.var(ddof=1) / len(b)
    freedom = (va + vb) ** 2 / (va**2 / (len(a) - 1) + vb**2 / (len(b) - 1))
    return float(2 * student.sf(abs(a.mean() - b.mean()) / math.sqrt(va + vb), freedom))


def test_a_comparison_is_welch_s_test_against_the_scaled_side(random: np.random.Generator) -> None:
    for _ in range(50):
        a, b = random.normal(1, 0.3, random.integers(2, 6)), random.normal(1.5, 0.2, random.integers(2, 6))
        bound = random.uniform(0.3, 1.5)
        verdict, p, _ = compare(a.tolist(), b.tolist(), bound)
        assert p == pytest.approx(welch_by_hand(a, bound * b))
        below = a.mean() < bound * b.mean()
        assert verdict is (OPEN if p >= 0.05 else HOLDS if below else FAILS)


def test_clear_cases(random: np.random.Generator) -> None:
    a = random.normal(1, 0.001, 3).tolist()
    assert compare(a, [2 * x for x in a], 0.75)[0] is HOLDS
    assert compare(a, [2 * x for x in a], 0.25)[0] is FAILS
    assert compare(a, a[::-1])[0] is OPEN
    assert compare([1.0, 1.0], [2.0, 2.0])[0] is HOLDS
    assert compare([1.0, 1.0], [1.0, 1.0])[0] is OPEN


@pytest.mark.parametrize(("a", "b"), [(1, 3), (3, 1), (1, 1)])
def test_one_seed_decides_nothing(a: int, b: int) -> None:
    assert compare([1.0] * a, [9.0] * b) == (OPEN, None, "fewer than two seeds")


def test_nothing_is_decided_without_runs(study: Options) -> None:
    for judgement in judge_all(study.results(), PAPER, SCALE):
        assert judgement.verdict is OPEN
        assert "missing runs: " in judgement.reason


def test_a_missing_run_is_named_and_no_other(study: Options, random: np.random.Generator) -> None:
    runs = runs_of(study)
    absent = str(random.choice(["alae-emoji", "shared_joint_1", "official", "joint_w_nobeta"]))
    results = record(study, drawn(random, [run for run in runs if run != absent]))
    for judgement in judge_all(results, PAPER, SCALE):
        needed = {run for below in judgement.claim.comparisons for run in (*below.a.runs, *below.b.runs)}
        assert (f"missing runs: {absent}" in judgement.reason) == (absent in needed)


def with_means(means: dict[str, float], column: str, random: np.random.Generator) -> Values:
    return {run: {column: (mean * random.normal(1, 0.002, 3)).tolist()} for run, mean in means.items()}


def verdict_of(claim: Claim, results: Results) -> Verdict:
    return judge(claim, PAPER.by_seed(results, SCALE)).verdict


def claim_of(words: str) -> Claim:
    return next(claim for claim in all_claims(PAPER, SCALE) if words in claim.statement)


@pytest.mark.parametrize(
    ("decoupled", "shared", "verdict"),
    [(0.62, 0.65, HOLDS), (0.62, 0.9, FAILS), (0.62, 1.4, FAILS), (0.75, 0.62, OPEN), (0.3, 0.3, HOLDS)],
)
@pytest.mark.parametrize(("column", "words"), [("mse", "(MSE on training"), ("mse_held_out", "(MSE on held-out")])
def test_a_joint_generator_is_about_a_third_better(
    study: Options, column: str, words: str, decoupled: float, shared: float, verdict: Verdict
) -> None:
    random = np.random.default_rng(3)
    means = {"decoupled_frozen_1": 5.0, "shared_frozen_1": 7.0}
    means |= {"decoupled_joint_1": 5.0 * decoupled, "shared_joint_1": 7.0 * shared}
    claim = claim_of(f"about a third better with one E step {words}")
    assert verdict_of(claim, record(study, with_means(means, column, random))) is verdict


def test_a_quantity_per_base_is_divided_seed_by_seed(study: Options, random: np.random.Generator) -> None:
    values = drawn(random, ("decoupled_joint_4", "decoupled_joint_1"), ["mse"])
    values["decoupled_joint_1"]["mse"].pop()  # the last seed of the base is not there
    results = record(study, values)

    def by_seed(run: str, column: str) -> dict[int, float]:
        return results.by_seed(run, PAPER.metric(column, SCALE))

    four, one = (values[f"decoupled_joint_{steps}"]["mse"] for steps in (4, 1))
    found = Quantity("decoupled_joint_4", "mse", base="decoupled_joint_1").values(by_seed)
    assert found == pytest.approx([a / b for a, b in zip(four, one, strict=False)])
    assert len(found) == 2


@pytest.mark.parametrize(("better", "verdict"), [(2.5, HOLDS), (1.6, FAILS), (0.5, FAILS), (2.0, OPEN)])
def test_twice_as_well_as_alae(study: Options, better: float, verdict: Verdict) -> None:
    random = np.random.default_rng(5)
    means = {f"{m}-{d}": 1.0 for m in ("joint_w", "joint_w_plus") for d in PAPER.datasets(SCALE)}
    means |= {f"alae-{d}": 3.0 for d in PAPER.datasets(SCALE)} | {"alae-emoji": better}
    results = record(study, with_means(means, "mse", random))
    assert verdict_of(claim_of("as ALAE (MSE on training"), results) is verdict


@pytest.mark.parametrize(("ratio", "verdict"), [(1.0, HOLDS), (1.1, HOLDS), (1.5, FAILS), (0.5, FAILS), (1.25, OPEN)])
def test_nothing_changes(study: Options, ratio: float, verdict: Verdict) -> None:
    random = np.random.default_rng(0)
    values = with_means({"lambda_adv_1": ratio, "joint_w_plus-emoji": 1.0}, "mse", random)
    for columns in values.values():
        columns["fid"] = [1.0, 1.001, 0.999]
    results = record_with_seeds(study, values)
    assert verdict_of(claim_of("λ_adv cancels"), results) is verdict


def record_with_seeds(options: Options, values: Values) -> Results:
    """Also for a run that the study trains with one seed only."""
    text = (options.folder / "study.yaml").read_text().replace("seeds: [0]}", "seeds: [0, 1, 2]}")
    (options.folder / "study.yaml").write_text(text)
    return record(options, values)


@pytest.mark.parametrize(("ratio", "verdict"), [(1.5, HOLDS), (0.5, HOLDS), (1.0, OPEN)])
def test_two_things_differ_in_either_direction(study: Options, ratio: float, verdict: Verdict) -> None:
    values: Values = {
        "official": {"mse": [ratio, 1.01 * ratio, 0.99 * ratio], "fid": [5.0, 6.0, 7.0]},
        "joint_w_plus-emoji": {"mse": [1.0, 1.01, 0.99], "fid": [5.5, 6.0, 6.5]},
    }
    assert verdict_of(claim_of("`official`"), record(study, values)) is verdict


def test_three_valued_logic() -> None:
    below = Below(Quantity("a", "mse"), Quantity("b", "mse"))
    for verdicts in itertools.product(Verdict, repeat=3):
        outcomes = tuple(Outcome(below, (), (), v) for v in verdicts)
        every, some = (Judgement(Claim("", "", (below,) * 3, needs), outcomes).verdict for needs in ("all", "any"))
        assert every is (FAILS if FAILS in verdicts else OPEN if OPEN in verdicts else HOLDS)
        assert some is (HOLDS if HOLDS in verdicts else OPEN)


def test_more_diverse_is_the_higher_number(study: Options) -> None:
    random = np.random.default_rng(1)
    means = {f"{m}-{d}": 0.5 for m in ("joint_w", "joint_w_plus") for d in PAPER.datasets(SCALE)}
    results = record(study, with_means(means | {f"alae-{d}": 0.4 for d in PAPER.datasets(SCALE)}, "lpips", random))
    assert verdict_of(claim_of("more diverse than ALAE"), results) is HOLDS


def test_the_paper_s_own_ratios() -> None:
    said = dict(zip((c.statement for c in all_claims(PAPER, SCALE)), printed_ratios(PAPER), strict=True))
    joint = said[claim_of("about a third better with one E step (MSE on training").statement]
    assert joint == "0.63 to 0.64, 2 of 2 as claimed"
    assert said[claim_of("nearer to the data than StyleGAN2").statement].endswith("1 of 4 as claimed")
    assert said[claim_of("`official`").statement] == "-"


def test_reports_have_every_claim_and_comparison(study: Options, random: np.random.Generator) -> None:
    judgements = judge_all(record(study, drawn(random, runs_of(study))), PAPER, SCALE)
    shown = summary(judgements, printed_ratios(PAPER))
    assert [row[2] for row in shown.rows] == [claim.statement for claim in all_claims(PAPER, SCALE)]
    assert len(details(judgements).rows) == sum(len(c.comparisons) for c in all_claims(PAPER, SCALE))
