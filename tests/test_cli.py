"""What the commands answer: mistakes in one line, paths of any kind, many runs at once."""

import json
import random
import re
from pathlib import Path

import pytest

from aestyle import entry
from aestyle.entry import CONF
from tests.helpers import FAST, answer, choices, contents, run_command, write_pictures
from tests.tiny import slow_but


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder, which a refused command must leave empty."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


# -- refused in one line ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "says"),
    [
        ("sed=1", r"unknown option sed; nearest: seed"),
        ("method.ema.half_lif=3", r"unknown option method\.ema\.half_lif; nearest: method\.ema\.half_life_kimg"),
        ("dataset.flipp=true", r"unknown option dataset\.flipp; nearest: dataset\.flip"),
        ("methd=joint_ae", r"unknown option methd; nearest: method"),
        ("method=join_ae", r"method=join_ae does not exist; choose one of: .*joint_ae.*stylegan2"),
        ("dataset=orl", r"dataset=orl does not exist; choose one of: .*folder, .*orl_faces"),
        ("method/encoder=wplus", r"method/encoder=wplus does not exist; choose one of: matrix, w, w_plus"),
        ("experiment=nope", r"experiment=nope does not exist"),
        ("method=[a", r"method=\[a cannot be read: give options as name=value"),
        ("a b", r"a b cannot be read"),
        ("dataset=ffhq", r"dataset\.path is not set: give dataset\.path=<value> \(.*download.*images1024x1024"),
        ("dataset=folder", r"dataset\.path is not set: .*any pictures of yours"),
        ("dataset=folder dataset.path=missing", r"missing: no such folder"),
        ("run_dir=", r"run_dir= is empty"),
        ("kimg=0", r"kimg=0: give a number above 0"),
        ("kimg=-1", r"kimg=-1: give a number above 0"),
        ("kimg=abc", r"kimg=abc: give a number above 0"),
        ("batch_size=0", r"batch_size=0: give a whole number of at least 1"),
        ("batch_size=2.5", r"batch_size=2\.5: give a whole number"),
        ("seed=-1", r"seed=-1: give a whole number of at least 0"),
        ("seed=99999999999", r"seed=99999999999: give a whole number below 2\^32"),
        ("callbacks.grids.images=0", r"callbacks\.grids\.images=0: give a whole number of at least 2"),
        ("batch_size=3 trainer=ddp_cpu", r"batch_size=3 cannot be shared by 2 processes; use batch_size=4"),
        ("resolution=30", r"resolution=30 is not a power of two"),
        ("resolution=abc", r"resolution=abc is not a power of two"),
        ("resolution=4096", r"resolution=4096: scale\.channels has no width for it"),
        ("method.e_steps=abc", r"method\.e_steps=abc: give a whole number"),
        ("method.e_steps=0", r"method\.e_steps=0: give a whole number of at least 1"),
        ("method.r1.every=0", r"method\.r1\.every=0: give a whole number of at least 1"),
        ("method.lr=fast", r"method\.lr=fast: give a number"),
        ("method.synthesis.noise=3", r"method\.synthesis\.noise=3: give true or false"),
        ("dataset.crop=middle", r"crop=middle: choose one of center, stretch, none"),
        ("dataset.channels=2", r"channels=2: choose one of 1, 3"),
        ("dataset.num_workers=-1", r"dataset\.num_workers=-1: give a whole number of at least 0"),
        ("scale.stats_kimg=0", r"scale\.stats_kimg=0: give a number above 0"),
        ("trainer.precision=nope", r"nope"),
        ("trainer.precision=16-mixed", r"16-mixed needs a GPU: on the CPU, take bf16-mixed"),
        ("compute.compile=true compute.recompute=true", r"do not go together: choose one"),
        ("compute.tf32=1", r"compute\.tf32=1: give true or false"),
    ],
)
def test_a_mistake_is_answered_by_one_line_that_names_it(args: str, says: str, folder: Path) -> None:
    line = answer("train", *FAST, *(args.split(" ") if "=" in args.partition(" ")[0] else [args])).line
    assert re.search(says, line), line
    assert "Traceback" not in line
    assert not list(folder.iterdir())


@pytest.mark.parametrize(
    ("command", "args", "says"),
    [
        ("evaluate", "ckpt=x metrics=[nope]", r"metrics=nope does not exist; .*all are in conf/metrics"),
        ("evaluate", "ckpt=x metrics=[rec_mse,rec_msee]", r"metrics=rec_msee does not exist; nearest: rec_mse"),
        ("evaluate", "ckpt=x metrics=[]", r"metrics=\[\] measures nothing"),
        ("evaluate", "metrics=[rec_mse]", r"ckpt is not set: give ckpt=<value>"),
        ("evaluate", "ckpt=x metrics=[rec_mse]", r"x: there is no such run folder or checkpoint"),
        ("evaluate", "ckpt=x splitt=val", r"unknown option splitt; .*split"),
        ("sample", "ckpt=x", r"output is not set"),
        ("sample", "ckpt=x output=y", r"x: there is no such run folder or checkpoint"),
        ("sample", "ckpt=x output=y device=toaster", r"device=toaster is not available here"),
        ("reconstruct", "ckpt=x output=y", r"input is not set"),
        ("reconstruct", "ckpt=. input=x output=y", r"\.: holds no checkpoints/last\.ckpt"),
    ],
)
def test_the_other_commands_answer_the_same_way(command: str, args: str, says: str, folder: Path) -> None:
    line = answer(command, *args.split(" ")).line
    assert re.search(says, line), line
    assert not list(folder.iterdir())


def test_a_misspelt_option_is_answered_with_the_right_one(folder: Path) -> None:
    """A random letter of a random option is left out."""
    names = ["batch_size", "resolution", "dataset.flip", "trainer.devices", "method.style_mixing"]
    for name in random.sample(names, 2):
        at = random.randrange(name.find(".") + 1, len(name))
        wrong = name[:at] + name[at + 1 :]
        assert re.search(
            rf"unknown option {re.escape(wrong)}; nearest: .*{re.escape(name)}\b", answer("train", f"{wrong}=1").line
        )
    assert not list(folder.iterdir())


def test_an_existing_folder_is_kept_by_a_refused_command(folder: Path) -> None:
    (folder / "mine").mkdir()
    (folder / "mine" / "note.txt").write_text("x")
    assert "crop=nope" in answer("train", *FAST, "run_dir=mine", "dataset.crop=nope").line
    assert contents(folder) == {"mine/note.txt": b"x"}


def test_an_error_of_the_program_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: object) -> None:
        raise AssertionError("a bug")

    monkeypatch.setattr("aestyle.studies.training.train", broken)
    with pytest.raises(AssertionError, match="a bug"):
        answer("train", *FAST)


@pytest.mark.slow
def test_the_process_itself_exits_with_code_2_and_no_traceback(folder: Path) -> None:
    line = run_command("train", "sed=1", cwd=folder).line
    assert "nearest: seed" in line
    assert not list(folder.iterdir())


# -- paths -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    slow_but(
        ["dé jà (1) [2]", "#1=a,b & ~2"],
        ["dé jà (1) [2]", "#1=a,b & ~2", "it's", """{a}$b's "c";50%""", "back\\slash", "ends\\", "~"],
    ),
)
def test_paths_need_no_quotes(name: str, folder: Path) -> None:
    pictures = write_pictures(folder / "in" / name, "a.png", f"{name}.png".replace("\\", ""), "c=1.png")
    run_dir, output = folder / "runs" / name, folder / "out" / name
    data = ("dataset=folder", f"dataset.path={pictures}", "dataset.num_workers=0")
    assert answer("train", *FAST, *data, "kimg=0.004", "method.perceptual=null", f"run_dir={run_dir}").code == 0
    assert (run_dir / "checkpoints" / "last.ckpt").is_file()
    assert answer("sample", f"ckpt={run_dir}", f"output={output}", "n=1").code == 0
    ckpt = run_dir / "checkpoints" / "last.ckpt"
    assert answer("reconstruct", f"ckpt={ckpt}", f"input={pictures}", f"output={output}").code == 0
    assert len(list(output.iterdir())) == 1 + 3 + 1  # sample, reconstructions, grid


@pytest.mark.parametrize("value", ["'quoted (already)'", '"a b"', "plain/path-1.2", "C:/x", "${oc.env:HOME}/runs"])
def test_values_that_hydra_understands_stay_as_they_are(value: str) -> None:
    assert entry._readable(f"run_dir={value}", multirun=False) == f"run_dir={value}"


def test_only_paths_are_quoted() -> None:
    assert entry._readable("method.betas=[0, 0.9]", multirun=False) == "method.betas=[0, 0.9]"


# -- several runs ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("flag", ["-m", "--multirun"])
def test_a_multirun_with_one_shared_run_folder_is_refused(flag: str, folder: Path) -> None:
    line = answer("train", flag, *FAST, "seed=0,1", "run_dir=same").line
    assert "run_dir=same would be shared by all jobs of this multirun" in line
    assert not list(folder.iterdir())


@pytest.mark.slow
def test_a_multirun_makes_one_folder_a_run_and_does_nothing_the_second_time(folder: Path) -> None:
    sweep = ("-m", *FAST, "method=stylegan2,joint_ae", "paths.runs=many runs")
    assert answer("train", *sweep).code == 0
    runs = (folder / "many runs").glob("*/checkpoints/last.ckpt")
    names = sorted(path.parents[1].name.partition("-")[0] for path in runs)
    assert names == ["joint_ae", "stylegan2"]
    before = contents(folder)
    again = answer("train", *sweep)
    assert again.code == 0
    assert again.out.count("is finished") == 2
    assert contents(folder) == before


@pytest.mark.slow
def test_a_multirun_goes_on_after_a_refused_job_and_reports_it(folder: Path) -> None:
    done = answer("train", "-m", *FAST, "method=stylegan2", "dataset.crop=nope,center")
    assert done.code == 2
    assert "aestyle: crop=nope: choose one of" in done.err
    assert "Traceback" not in done.err
    assert len(list(folder.glob("runs/*/checkpoints"))) == 1
    notes = {path.parent: json.loads(path.read_text()) for path in folder.glob("runs/*/state.json")}
    assert sorted(note["outcome"] for note in notes.values()) == ["failed", "finished"]
    (refused,) = (run for run, note in notes.items() if note["outcome"] == "failed")
    assert [path.name for path in refused.iterdir()] == ["state.json"]  # for the sweep's summary, and nothing else


# -- help ------------------------------------------------------------------------------------------------------------


def test_help_lists_methods_and_data_sets() -> None:
    shown = answer("train", "--help")
    assert shown.code == 0
    lines = dict(line.split(": ", 1) for line in shown.out.splitlines() if ": " in line)
    parts = [f"method/{path.name}" for path in (CONF / "method").iterdir() if path.is_dir() and path.name != "scale"]
    for group in ("method", "dataset", "scale", "trainer", "logger", "launcher", "experiment", "debug", *parts):
        assert lines[group].split(", ") == choices(group)


@pytest.mark.slow
@pytest.mark.parametrize("command", [path.stem for path in CONF.glob("*.yaml")])
def test_every_command_shows_its_help_and_its_configuration(command: str) -> None:
    assert f"aestyle.{command}" in answer(command, "--help").out or answer(command, "--help").code == 0
    assert answer(command, "--cfg", "job").code == 0
