"""A study of tiny runs: what is missing is run, what is done is left alone, whatever happens in between."""

import fcntl
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from aestyle.studies.results import Results
from tests.helpers import ROOT, Answer, answer, contents
from tests.tiny import TINY, checkpoint, differences, stats

pytestmark = pytest.mark.slow

AE = ["method=joint_ae", "method.perceptual=null"]
RUNS: dict[str, Any] = {
    "gan": {"overrides": ["method=stylegan2"]},
    "bad": {"overrides": [*AE, "dataset.crop=nope"]},
    "ae": {"overrides": AE, "metrics": ["rec_mse"]},
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_study(folder: Path, runs: dict[str, Any], kimg: float = 0.032, seeds: tuple[int, ...] = (0,)) -> None:
    common = {
        "datasets": ["orl_faces"],
        "seeds": list(seeds),
        "metrics": ["mse_mean_image", "rec_mse"],
        "overrides": [*TINY, f"kimg={kimg}"],
    }
    (folder / "toy").mkdir(exist_ok=True)
    study = {"name": "toy", "scales": {"cpu": common}, "runs": runs}
    (folder / "toy" / "study.yaml").write_text(OmegaConf.to_yaml(OmegaConf.create(study)))


def study(*options: str) -> Answer:
    return answer("study", "path=toy", "scale=cpu", *options)


def result(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(Path("toy", "results", "cpu", f"{name}.json").read_text())
    return content


def run_dir(name: str) -> Path:
    (found,) = Path("runs", "toy", "cpu").glob(f"{name}-*")
    return found


def started(said: Answer) -> list[str]:
    return re.findall(r"^start   (\S+)", said.out, re.MULTILINE)


# -- from nothing to done --------------------------------------------------------------------------------------------


def test_what_is_missing_runs_a_failed_one_does_not_stop_the_rest_and_nothing_runs_twice(folder: Path) -> None:
    write_study(folder, RUNS)
    first = study()
    assert first.code == 1
    assert started(first) == ["gan-seed0", "bad-seed0", "ae-seed0"]
    assert "failed  bad-seed0: crop=nope: choose one of center, stretch, none\n" in first.out
    assert "2 of 3 runs done, 1 failed" in first.out
    assert "Traceback" in (run_dir("bad-seed0") / "study.log").read_text()
    before = contents(folder / "toy")
    second = study()
    assert second.code == 1
    assert started(second) == ["bad-seed0"]
    assert contents(folder / "toy") == before
    write_study(folder, {name: RUNS[name] for name in ("gan", "ae")})
    before = contents(folder)
    third = study()
    assert third.code == 0
    assert started(third) == []
    assert "2 of 2 runs done, 0 failed" in third.out
    assert contents(folder) == before


def test_a_result_says_what_was_done_and_where_without_any_path(folder: Path) -> None:
    seed = random.randrange(100)
    write_study(folder, {"ae": RUNS["ae"], "gan": RUNS["gan"]}, seeds=(seed,))
    assert study("threads=1").code == 0
    found = result(f"ae-seed{seed}")
    assert (found["study"], found["run"], found["scale"], found["seed"]) == ("toy", "ae", "cpu", seed)
    assert found["overrides"] == [*TINY, "kimg=0.032", "dataset=orl_faces", *AE]
    assert found["kimg"] == 0.032
    assert list(found["metrics"]) == ["rec_mse"]
    (line,) = map(json.loads, (run_dir(f"ae-seed{seed}") / "metrics.jsonl").read_text().splitlines())
    assert found["records"] == [{key: value for key, value in line.items() if key != "checkpoint"}]
    assert found["metrics"]["rec_mse"] == line["value"]
    seconds = sum(line["seconds"] for line in stats(run_dir(f"ae-seed{seed}"), without=()))
    assert found["train_seconds"] == pytest.approx(seconds, abs=0.06)
    assert set(found["parameters"]) == {"mapping", "synthesis", "discriminator", "encoder"}
    assert found["machine"]["threads"] == 1
    assert found["config"]["method.name"] == "joint_ae"
    for name in (f"ae-seed{seed}", f"gan-seed{seed}"):
        assert str(folder) not in json.dumps(result(name))
    gan = result(f"gan-seed{seed}")
    assert list(gan["metrics"]) == ["mse_mean_image"]
    assert "has no encoder" in gan["not_measured"]["rec_mse"]
    assert Results.load("toy", "cpu").value("ae", "rec_mse") == [line["value"]]
    assert Results.load("toy", "cpu").run_dir("ae", seed) == run_dir(f"ae-seed{seed}")
    assert not [
        path for path in (folder / "toy").rglob("*") if path.is_file() and path.suffix not in (".json", ".yaml")
    ]


def test_results_alone_count_as_done_on_another_machine(folder: Path) -> None:
    write_study(folder, {"gan": RUNS["gan"]})
    assert study().code == 0
    (folder / "runs").rename(folder / "elsewhere")
    assert started(study()) == []


# -- changes ---------------------------------------------------------------------------------------------------------


def test_a_changed_configuration_is_told_and_runs_again_unless_it_is_accepted(folder: Path) -> None:
    write_study(folder, {"ae": RUNS["ae"], "gan": RUNS["gan"]})
    assert study().code == 0
    changed = {"ae": {**RUNS["ae"], "overrides": [*AE, "method.lr=0.005"]}, "gan": RUNS["gan"]}
    write_study(folder, changed)
    dry = study("dry=true")
    assert "changed ae-seed0: method.lr=0.002 there, 0.005 here" in dry.out
    assert "to run: 1," in dry.out
    assert started(dry) == []
    before = result("ae-seed0")
    again = study()
    assert started(again) == ["ae-seed0"]
    assert result("ae-seed0")["config_hash"] != before["config_hash"]
    write_study(folder, {"ae": RUNS["ae"]})
    accepted = study("accept=true")
    assert started(accepted) == []
    assert result("ae-seed0")["config_hash"] == before["config_hash"]


def test_a_larger_budget_goes_on_and_a_new_metric_is_measured_without_training(folder: Path) -> None:
    write_study(folder, {"ae": RUNS["ae"]})
    assert study().code == 0
    write_study(folder, {"ae": RUNS["ae"]}, kimg=0.064)
    assert started(study()) == ["ae-seed0"]
    assert result("ae-seed0")["kimg"] == 0.064
    assert "going on from" in (run_dir("ae-seed0") / "study.log").read_text()
    before = result("ae-seed0")
    write_study(folder, {"ae": {**RUNS["ae"], "metrics": ["rec_mse", "rec_psnr"]}}, kimg=0.064)
    said = study()
    assert "1 metrics missing" in said.out
    after = result("ae-seed0")
    assert {record["metric"] for record in after["records"]} == {"rec_mse", "rec_psnr"}
    assert after["metrics"]["rec_mse"] == before["metrics"]["rec_mse"]
    assert after["train_seconds"] == before["train_seconds"]


def test_two_runs_of_one_configuration_are_trained_once(folder: Path) -> None:
    write_study(folder, {"ae": RUNS["ae"], "same": {**RUNS["ae"], "overrides": [*AE, "method.e_steps=1"]}})
    said = study()
    assert started(said) == ["ae-seed0"]
    assert "2 of 2 runs done" in said.out
    own = ("run", "overrides")
    first, second = ({k: v for k, v in result(f"{name}-seed0").items() if k not in own} for name in ("ae", "same"))
    assert first == second
    assert result("same-seed0")["run"] == "same"
    assert Results.load("toy", "cpu").run_dir("same", 0) == run_dir("ae-seed0")


# -- one after the other ---------------------------------------------------------------------------------------------


def test_a_run_starts_from_another_ones_model_of_the_same_seed(folder: Path) -> None:
    later = {"overrides": ["method=two_stage", "method.perceptual=null"], "after": "gan"}
    write_study(folder, {"later": later, "gan": RUNS["gan"]}, seeds=(0, 1))
    said = study("only=later", "seeds=[1]")
    assert started(said) == ["gan-seed1", "later-seed1"]  # the one that it starts from comes along
    assert said.code == 0
    weights = [checkpoint(run_dir(f"{name}-seed1"))["state_dict"] for name in ("gan", "later")]
    synthesis = [{k: v for k, v in w.items() if k.startswith("ema.synthesis.")} for w in weights]
    assert synthesis[0]
    assert not differences(*synthesis)


def test_what_starts_after_a_failed_run_is_told_so(folder: Path) -> None:
    write_study(folder, {"bad": RUNS["bad"], "later": {"overrides": AE, "after": "bad"}, "gan": RUNS["gan"]})
    said = study()
    assert started(said) == ["bad-seed0", "gan-seed0"]
    assert "failed  later-seed0: starts after bad-seed0, which failed" in said.out


def test_a_configuration_that_cannot_be_composed_is_refused_by_name(folder: Path) -> None:
    unknown, lost = {"overrides": ["method=joint_xe"]}, {"overrides": [*AE, "dataset=ffhq"]}
    write_study(folder, {"unknown": unknown, "lost": lost, "odd": {**RUNS["ae"], "metrics": ["rec_msee"]}})
    said = study()
    assert said.code == 1
    assert started(said) == []
    assert "failed  unknown-seed0: In 'train': Could not find 'method/joint_xe'" in said.out
    assert "failed  odd-seed0: In 'evaluate': Could not load 'metrics/rec_msee'" in said.out
    assert re.search("failed  lost-seed0: .*dataset.path", said.out)


# -- killed ----------------------------------------------------------------------------------------------------------


def start_study(*options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "aestyle.study", "path=toy", "scale=cpu", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        start_new_session=True,
    )


def wait_until_saved(name: str, process: subprocess.Popen[str]) -> None:
    """Returns once a run has a checkpoint."""
    deadline = time.monotonic() + 120
    while not list(Path("runs/toy/cpu").glob(f"{name}-*/checkpoints/last.ckpt")):
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_killed_in_the_middle_the_same_command_completes_what_is_missing(folder: Path) -> None:
    write_study(folder, {"first": RUNS["gan"], "second": {**RUNS["ae"]}}, kimg=0.4)
    process = start_study("threads=1")
    wait_until_saved("second-seed0", process)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert 0 < checkpoint(run_dir("second-seed0"))["aestyle"]["images_seen"] < 400
    done = contents(folder / "toy" / "results")
    assert list(done) == ["cpu/first-seed0.json"]
    said = study("threads=1")
    assert "second-seed0 (goes on)" in said.out
    assert started(said) == ["second-seed0"]
    assert "going on from" in (run_dir("second-seed0") / "study.log").read_text()
    assert contents(folder / "toy" / "results").items() > done.items()
    assert started(study()) == []


def test_ctrl_c_keeps_the_running_run(folder: Path) -> None:
    write_study(folder, {"first": {**RUNS["gan"]}}, kimg=100)
    process = start_study()
    wait_until_saved("first-seed0", process)
    process.send_signal(signal.SIGINT)
    output = process.communicate(timeout=60)[0]
    assert process.returncode == 128 + signal.SIGINT, output
    assert checkpoint(run_dir("first-seed0"))["aestyle"]["images_seen"] > 0


def test_a_run_folder_in_use_is_left_to_its_process(folder: Path) -> None:
    write_study(folder, {"first": RUNS["gan"]})
    assert study().code == 0
    write_study(folder, {"first": RUNS["gan"]}, kimg=0.048)
    with (run_dir("first-seed0") / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        said = study()
    assert said.code == 1
    assert re.search(r"is being trained by process \d* on .*; wait for it, or stop it", said.out)
    assert study().code == 0


def test_joblib_runs_two_at_a_time_and_goes_on_when_a_process_is_killed(folder: Path) -> None:
    write_study(folder, {"gan": RUNS["gan"], "ae": RUNS["ae"], "bad": RUNS["bad"]}, kimg=0.4)
    process = start_study("launcher=joblib", "threads=1")
    wait_until_saved("ae-seed0", process)
    os.kill(int((run_dir("ae-seed0") / ".lock").read_text().split()[0]), signal.SIGKILL)
    output = process.communicate(timeout=240)[0]
    assert process.returncode == 1, output
    assert "a process was killed; going on with what is left" in output
    assert "failed  bad-seed0: crop=nope" in output
    assert "2 of 3 runs done, 1 failed" in output
    assert result("ae-seed0")["machine"]["threads"] == 1
