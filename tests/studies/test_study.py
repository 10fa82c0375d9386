"""``study.yaml`` unrolled into runs, and its mistakes in one line."""

from pathlib import Path

import pytest

from aestyle.errors import UserError
from aestyle.studies.planning import comparable
from aestyle.studies.study import Study
from tests.helpers import ROOT, answer
from tests.tiny import compose_tiny

STUDY = """
name: toy
scales:
  cpu:
    datasets: [emoji, orl_faces]
    seeds: [0, 1]
    metrics: [rec_mse]
    overrides: [scale=cpu, kimg=6, "scale.channels={4: 8, 8: 8}"]
  paper:
    overrides: [scale=paper, "dataset.path=${paths.data}/${dataset.name}"]
runs:
  many: {datasets: all, overrides: [method=stylegan2]}
  after_many: {overrides: [method=joint_ae], after: many, seeds: [1]}
  each_after: {datasets: all, overrides: [method=joint_ae], after: many, scales: [cpu]}
  own: {overrides: [method=joint_ae, kimg=3], metrics: [cpu], scales: {cpu: [dataset=mnist], paper: }}
"""


def load(folder: Path, text: str = STUDY) -> Study:
    (folder / "study.yaml").write_text(text)
    return Study.load(folder)


def test_runs_are_repeated_on_data_sets_in_the_order_of_the_file_and_then_with_the_next_seed(tmp_path: Path) -> None:
    jobs = load(tmp_path).jobs("cpu")
    every = ("many-emoji", "many-orl_faces", "each_after-emoji", "each_after-orl_faces", "own")
    assert [job.name for job in jobs] == [
        *(f"{run}-seed0" for run in every),
        *(f"{run}-seed1" for run in (*every[:2], "after_many", *every[2:])),
    ]
    assert {job.scale for job in jobs} == {"cpu"}


def test_a_data_set_may_have_overrides_of_its_own_which_those_of_runs_replace(tmp_path: Path) -> None:
    text = STUDY.replace("[emoji, orl_faces]", "{emoji: [resolution=16], orl_faces: [kimg=9, resolution=8]}")
    by_name = {job.name: job.overrides for job in load(tmp_path, text).jobs("cpu")}
    assert {"kimg=6", "resolution=16"} <= set(by_name["many-emoji-seed0"])
    assert {"kimg=9", "resolution=8", "dataset=orl_faces"} <= set(by_name["many-orl_faces-seed0"])
    assert {"kimg=3", "resolution=16"} <= set(by_name["own-seed0"])


def test_later_overrides_of_one_option_replace_earlier_ones(tmp_path: Path) -> None:
    by_name = {job.name: job for job in load(tmp_path).jobs("cpu")}
    common = ("scale=cpu", "scale.channels={4: 8, 8: 8}")
    assert by_name["many-orl_faces-seed0"].overrides == (
        *("scale=cpu", "kimg=6", "scale.channels={4: 8, 8: 8}"),
        *("dataset=orl_faces", "method=stylegan2"),
    )
    assert by_name["own-seed0"].overrides == (*common, "method=joint_ae", "kimg=3", "dataset=mnist")
    assert by_name["own-seed0"].metrics == ("cpu",)
    assert by_name["many-emoji-seed0"].metrics == ("rec_mse",)


def test_a_run_starts_after_the_one_on_its_own_data_set(tmp_path: Path) -> None:
    before = {job.name: job.before for job in load(tmp_path).jobs("cpu")}
    assert before["after_many-seed1"] == "many-emoji-seed1"
    assert before["each_after-orl_faces-seed0"] == "many-orl_faces-seed0"
    assert before["own-seed0"] is None


def test_a_scale_without_data_sets_leaves_them_to_the_overrides(tmp_path: Path) -> None:
    text = STUDY.replace("datasets: all, ", "")
    jobs = load(tmp_path, text).jobs("paper", seeds=[1])
    assert [job.name for job in jobs] == ["many-seed1", "after_many-seed1", "own-seed1"]
    assert jobs[0].overrides == ("scale=paper", "dataset.path=${paths.data}/${dataset.name}", "method=stylegan2")


def test_seeds_and_patterns_choose(tmp_path: Path) -> None:
    study = load(tmp_path)
    jobs = study.jobs("cpu", seeds=[5])
    assert {job.seed for job in jobs} == {5}
    assert [job.run for job in study.select(jobs, ["own", "*-emoji"])] == ["many-emoji", "each_after-emoji", "own"]
    assert study.select(jobs, None) == jobs
    with pytest.raises(UserError, match=r"only=nope\* matches no run of .*its runs: many-emoji, many-orl_faces"):
        study.select(jobs, ["own", "nope*"])


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("name: toy", "", "says nothing about name"),
        ("  own:", "  own: {overides: []}\n  other:", "run own has no overides; it has overrides, after"),
        ("    seeds: [0, 1]", "    seed: [0, 1]", "scale cpu has no seed"),
        ("after: many, seeds", "after: lots, seeds", "after_many-seed1 starts after lots-seed1, which is not there"),
        ("seeds: [1]", "seeds: [2]", "starts after many-emoji-seed2, which is not there"),
        ("metrics: [cpu]", "after: own", "own-seed0 start after each other"),
        ("  own: {", "  own: [{", "cannot be read"),
        ("name: toy", "name: toy\nname: again", "cannot be read"),
        ("  own: {", "  own: 3\n  other: {", "run own is no mapping"),
    ],
)
def test_mistakes_are_named(old: str, new: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as told:
        load(tmp_path, STUDY.replace(old, new)).jobs("cpu")
    assert "study.yaml: " in str(told.value)
    assert says in str(told.value)
    assert "\n" not in str(told.value)


def test_a_missing_file_or_scale_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"study\.yaml: there is no such file; give a folder"):
        Study.load(tmp_path)
    with pytest.raises(UserError, match=r"scale=huge: .* has cpu, paper; choose one of them"):
        load(tmp_path).jobs("huge")


RECORDED = sorted(path.parent.relative_to(ROOT) for path in (ROOT / "experiments").glob("*/study.yaml"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("folder", "scale"), [(folder, scale) for folder in RECORDED for scale in Study.load(ROOT / folder).scales]
)
def test_every_run_of_every_recorded_study_composes(folder: Path, scale: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    said = answer("study", f"path={folder}", f"scale={scale}", "seeds=[0]", "dry=true")  # a seed changes nothing else
    assert said.code == 0, said.err
    assert "refused" not in said.out
    assert f"at scale={scale}" in said.out


def test_a_narrower_precision_is_another_run_and_another_device_is_not() -> None:
    plain, elsewhere, narrow = (
        comparable(compose_tiny(*options)) for options in ([], ["trainer.devices=2"], ["trainer.precision=bf16-mixed"])
    )
    assert plain == elsewhere
    assert narrow == {**plain, "trainer.precision": "bf16-mixed"}
