"""The paper's numbers are as the fact sheet reads them, and the study has what stands beside them."""

import pytest

from aestyle.studies.study import Study
from experiments.ae_stylegan.paper import Paper
from experiments.ae_stylegan.statements import all_claims
from tests.experiments.recorded import PAPER, STUDY
from tests.helpers import choices

SETS = PAPER.datasets("paper")
MODELS = ("stylegan2", "alae", "joint_w", "joint_w_plus")


def number(run: str, column: str) -> float:
    value = PAPER.value(run, column)
    assert value is not None, (run, column)
    return value


def test_no_cell_is_empty() -> None:
    for data in SETS:
        for model in MODELS:
            for column in ("fid", "lpips", "ppl_full", "ppl_end"):
                assert number(f"{model}-{data}", column) > 0
        for model in MODELS[1:]:
            for column in ("vgg", "mse", "rec_fid"):
                assert number(f"{model}-{data}", column) > 0
    assert len(PAPER.content["table4"]) == 8
    assert len(PAPER.content["table5"]) == 4


def test_the_best_fid_is_the_autoencoders_on_metfaces_only() -> None:
    best = {data: min(MODELS, key=lambda model: number(f"{model}-{data}", "fid")) for data in SETS}
    assert best == {"ffhq": "stylegan2", "afhq": "stylegan2", "metfaces": "joint_w_plus", "church": "stylegan2"}


def test_alae_has_the_shorter_full_paths_on_afhq_and_metfaces() -> None:
    better = [d for d in SETS if number(f"alae-{d}", "ppl_full") < number(f"joint_w_plus-{d}", "ppl_full")]
    assert better == ["afhq", "metfaces"]


@pytest.mark.parametrize(("data", "full", "end"), [("ffhq", 13.4, 14.5), ("church", 19.5, 21.5)])
def test_the_gain_in_path_length_is_13_to_22_percent(data: str, full: float, end: float) -> None:
    for column, percent in (("ppl_full", full), ("ppl_end", end)):
        gain = 1 - number(f"joint_w_plus-{data}", column) / number(f"alae-{data}", column)
        assert 100 * gain == pytest.approx(percent, abs=0.05)


def test_w_reconstructs_church_at_a_lower_fid_than_w_plus() -> None:
    worse = [d for d in SETS if number(f"joint_w_plus-{d}", "rec_fid") > number(f"joint_w-{d}", "rec_fid")]
    assert worse == ["church"]


def test_a_joint_generator_lowers_the_error_by_36_percent() -> None:
    for design in ("decoupled", "shared"):
        ratio = number(f"{design}_joint_1", "mse") / number(f"{design}_frozen_1", "mse")
        assert 1 - ratio == pytest.approx(0.36, abs=0.01)


def test_the_runs_that_two_tables_share_differ_by_rounding() -> None:
    for model in ("joint_w", "joint_w_plus"):
        for column, unit in (("fid", 0.001), ("mse", 0.01)):
            in_table5 = PAPER.content["table5"][model][column]
            assert in_table5 == pytest.approx(number(f"{model}-ffhq", column), abs=1.01 * unit)


def test_twice_as_well_as_alae_is_what_the_paper_has() -> None:
    for data in SETS:
        for model in ("joint_w", "joint_w_plus"):
            assert number(f"{model}-{data}", "mse") < number(f"alae-{data}", "mse") / 2


@pytest.mark.parametrize("scale", ["cpu", "paper"])
class TestTheStudyHasWhatIsCompared:
    def test_runs(self, scale: str) -> None:
        known = {job.run for job in Study.load(STUDY).jobs(scale)}
        needed = {f"{model}-{data}" for model in MODELS for data in PAPER.datasets(scale)} | set(
            PAPER.content["table4"]
        )
        for claim in all_claims(PAPER, scale):
            needed.update(run for below in claim.comparisons for run in (*below.a.runs, *below.b.runs))
        assert needed <= known

    def test_data_sets_in_this_order(self, scale: str) -> None:
        assert PAPER.datasets(scale) == list(Study.load(STUDY).scales[scale].datasets)

    def test_metrics(self, scale: str) -> None:
        named = {PAPER.metric(column, scale) for column in PAPER.content["columns"]}
        assert named <= set(choices("metrics"))


def test_a_number_that_is_not_there() -> None:
    assert Paper.load().value("stylegan2-ffhq", "mse") is None
    assert Paper.load().value("official", "fid") is None
