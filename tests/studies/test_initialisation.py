"""Starting from another run's weights, and keeping parts of a model frozen, for every method."""

import random
import re
from pathlib import Path

import pytest
import torch
from torch import Tensor

from aestyle.engine.module import PhasedModule
from aestyle.studies.initialisation import freeze, initialise
from aestyle.studies.training import build, train
from tests.helpers import FAST, answer, compose_train
from tests.methods.test_every_method import batch, make, state
from tests.tiny import METHODS, STYLEGANS, TINY, checkpoint, compose_tiny, differences, slow_but

State = dict[str, Tensor]
GENERATOR = ("mapping", "synthesis")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of joint_ae whose averaged networks have left the trained ones."""
    folder = tmp_path_factory.mktemp("source")
    train(compose_tiny("method=joint_ae", "seed=5", "kimg=0.048"), folder)
    states = checkpoint(folder)["state_dict"]
    assert not torch.equal(states["ema.synthesis.const"], states["synthesis.const"])
    return folder


def part(states: State, prefix: str) -> State:
    return {key.removeprefix(f"{prefix}."): value for key, value in states.items() if key.startswith(f"{prefix}.")}


def started(run_dir: Path, *options: str) -> tuple[PhasedModule, State]:
    """The method of a new run before its first iteration, and its state."""
    cfg = compose_tiny(*options)
    method = build(cfg, run_dir)[0]
    initialise(method, cfg)
    return method, state(method)


# -- weights ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", slow_but(["stylegan2", "joint_ae", "overparam"], STYLEGANS))
def test_trained_and_averaged_weights_arrive_bit_by_bit(method: str, source: Path, tmp_path: Path) -> None:
    given = checkpoint(source)["state_dict"]
    options = (f"method={method}", "method.synthesis.noise=true")  # as in the source, also where it is off
    built, found = started(tmp_path, *options, f"init_from={source}", "init_networks=[mapping,synthesis]")
    new = state(build(compose_tiny(*options), tmp_path)[0])
    for name in built.networks:
        if name in GENERATOR:
            raw = f"ema.{name}" if name in built.frozen else name
            assert not differences(part(found, name), part(given, raw))
            assert not differences(part(found, f"ema.{name}"), part(given, f"ema.{name}"))
        else:
            assert not differences(part(found, name), part(new, name)), name


def test_without_names_every_network_that_both_have_is_taken(source: Path, tmp_path: Path) -> None:
    given = checkpoint(source)["state_dict"]
    found = started(tmp_path, "method=joint_ae", f"init_from={source / 'checkpoints' / 'last.ckpt'}")[1]
    for name in ("mapping", "synthesis", "discriminator", "encoder", "ema"):
        assert not differences(part(found, name), part(given, name)), name
    found = started(tmp_path, "method=stylegan2", f"init_from={source}")[1]
    for name in ("mapping", "synthesis", "discriminator"):
        assert not differences(part(found, name), part(given, name)), name


@pytest.mark.slow
def test_the_run_records_where_it_comes_from_and_loads_it_once(source: Path, tmp_path: Path) -> None:
    options = ("method=stylegan2", f"init_from={source}")
    train(compose_tiny(*options, "kimg=0.016"), tmp_path / "run")
    train(compose_tiny(*options, "kimg=0.04"), tmp_path / "run")
    train(compose_tiny(*options, "kimg=0.04"), tmp_path / "straight")
    assert not differences(*(checkpoint(tmp_path / run)["state_dict"] for run in ("run", "straight")))
    assert f"init_from: {source}" in (tmp_path / "run" / "config.yaml").read_text()


# -- freezing --------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_any_network_may_be_frozen(method: str) -> None:
    """Every other one is trained as before; what is frozen stays, to the bit, in its average too."""
    for name in make(method).networks:
        built = make(method)
        if name in built.frozen:
            continue
        freeze(built, [name])
        before = state(built)
        for i in range(2):
            built.training_step(batch(built, seed=i), 0)
        changed = {key.removeprefix("ema.").split(".")[0] for key in differences_of(before, state(built))}
        trained = {n for phase in built.phases() for n in phase.networks} - {name, *built.frozen}
        assert changed - {"path_mean", "augment", "history"} == trained, name
        assert built.bad_steps == 0


def differences_of(a: State, b: State) -> list[str]:
    return [name.removeprefix(".") for name in differences(a, b)]


@pytest.mark.slow
@pytest.mark.parametrize("method", STYLEGANS)
def test_freeze_d(method: str, source: Path, tmp_path: Path) -> None:
    """The first layers of a discriminator stay as they were loaded, the others are trained; also after a restart."""
    network = next(name for name in make(method).networks if name.startswith("discriminator"))
    layers = next(name for name, _ in make(method).networks[network].named_children())
    options = [f"method={method}", f"init_from={source}", "init_networks=[mapping,synthesis]"]
    options += ["method.synthesis.noise=true", f"freeze=[{network}.{layers}]"]
    before = started(tmp_path, *options)[1]
    train(compose_tiny(*options, "kimg=0.024"), tmp_path / "run")
    train(compose_tiny(*options, "kimg=0.04"), tmp_path / "run")
    train(compose_tiny(*options, "kimg=0.04"), tmp_path / "straight")
    ends = [checkpoint(tmp_path / run) for run in ("run", "straight")]
    for key in ("state_dict", "optimizer_states", "callbacks"):
        assert not differences(ends[0][key], ends[1][key]), key
    changed = differences_of(part(before, network), part(ends[0]["state_dict"], network))
    assert changed
    assert not any(name.startswith(f"{layers}.") for name in changed)


def test_a_frozen_network_takes_averaged_weights_and_keeps_them(source: Path, tmp_path: Path) -> None:
    given = checkpoint(source)["state_dict"]
    options = ("method=joint_ae", f"init_from={source}", "freeze=[mapping,synthesis]", "kimg=0.024")
    method = train(compose_tiny(*options), tmp_path)
    assert method is not None
    end = checkpoint(tmp_path)["state_dict"]
    for name in GENERATOR:
        assert not differences(part(end, name), part(given, f"ema.{name}"))
        assert not differences(part(end, f"ema.{name}"), part(given, f"ema.{name}"))
    assert differences(part(end, "encoder"), part(given, "encoder"))
    assert not method.synthesis.training  # type: ignore[union-attr]


def test_running_statistics_of_a_frozen_network_stay() -> None:
    method = make("stylegan2")
    method.discriminator = torch.nn.Sequential(torch.nn.BatchNorm2d(1), torch.nn.Linear(8, 1))
    freeze(method, ["discriminator"])
    before = state(method)
    method.discriminator(torch.randn(4, 1, 8, 8))
    assert not differences(before, state(method))


@pytest.mark.parametrize("method", METHODS)
def test_a_random_half_of_all_parameters_may_be_frozen(method: str) -> None:
    built = make(method)
    names = [f"{name}.{key}" for name, network in built.networks.items() for key, _ in network.named_parameters()]
    chosen = random.sample(names, len(names) // 2)
    freeze(built, chosen)
    before = state(built)
    built.training_step(batch(built), 0)
    assert not set(differences_of(before, state(built))) & set(chosen)


# -- refused ---------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["init_from=nowhere"], "nowhere: there is no such run folder or checkpoint"),
        (["init_from={tmp}"], r"holds no checkpoints/last\.ckpt"),
        (["init_from={file}"], "not a checkpoint|truncated or damaged"),
        (["init_from=3"], "3: there is no such run folder or checkpoint"),
        (["init_networks=[mapping]"], "give init_from="),
        (["init_from={source}", "init_networks=[encode]"], "joint_ae has no encode; choose from mapping, synthesis"),
        (["init_from={stylegan2}", "init_networks=[encoder]"], "has no encoder; choose from mapping, synthesis"),
        (["init_from={source}", "init_networks=[]"], "gives none"),
        (["init_from={source}", "resolution=16"], r"synthesis\..* here; give resolution=8 \(here 16\).*init_networks="),
        (
            ["init_from={source}", "scale.channels={4: 10, 8: 4}"],
            r"synthesis\.const has shape \(.*6, .*\) there and \(.*10, .*\) here; give scale\.channels=",
        ),
        (["init_from={source}", "dataset.channels=3"], r"dataset\.channels=1 \(here 3\)"),
        (["init_from={source}", "scale.style_dim=5"], r"mapping\..*\(6, 6\) there.*scale\.style_dim=6 \(here 5\)"),
        (["init_from={source}", "scale.mapping_depth=3"], r"mapping\..*\(none\) there.*scale\.mapping_depth=2"),
        (["init_from={source}", "method/encoder=w"], r"encoder\.head\..*method\.\* options.*init_networks="),
        (["freeze=discriminator"], r"freeze=discriminator: give a list of names"),
        (["freeze=[discriminator.trun]"], r"freeze=\[discriminator\.trun\]: no parameter is called so"),
        (["freeze=[mapping,synthesis,discriminator,encoder]"], "leaves nothing to train"),
        (["method=two_stage"], "method=two_stage needs a trained generator: give init_from=<run folder or checkpoint>"),
        (
            ["method=two_stage", "init_from={source}", "init_networks=[mapping,encoder]"],
            "method=two_stage needs a trained synthesis",
        ),
    ],
)
def test_what_cannot_be_started_from_is_refused_in_one_line(
    options: list[str], message: str, source: Path, tmp_path: Path
) -> None:
    (tmp_path / "noise.ckpt").write_bytes(random.randbytes(3000))
    places = {"source": source, "tmp": tmp_path, "file": tmp_path / "noise.ckpt"}
    if any("{stylegan2}" in option for option in options):
        train(compose_tiny("method=stylegan2", "kimg=0.008"), tmp_path / "stylegan2")
        places["stylegan2"] = tmp_path / "stylegan2"
    for name, place in places.items():
        options = [option.replace(f"{{{name}}}", str(place)) for option in options]
    line = answer("train", *TINY, "kimg=0.008", "method=joint_ae", *options, f"run_dir={tmp_path / 'run'}").line
    assert re.search(message, line), line
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_another_start_is_another_run(source: Path, tmp_path: Path) -> None:
    args = (*TINY, "kimg=0.008", "method=joint_ae", f"run_dir={tmp_path / 'run'}")
    assert answer("train", *args).code == 0
    for option, said in (
        (f"init_from={source}", r"init_from=\(none\) there, .* here"),
        ("freeze=[mapping]", r"freeze=\(none\) there, \['mapping'\] here"),
    ):
        assert re.search(f"holds a run with other options: {said}", answer("train", *args, "kimg=1", option).line)


def test_options_that_are_left_empty_change_no_name() -> None:
    plain = compose_train(*FAST)
    assert compose_train(*FAST, "freeze=[]", "init_networks=null").run_dir == plain.run_dir
    assert compose_train(*FAST, "freeze=[mapping]").run_dir != plain.run_dir
    assert compose_train(*FAST, "init_from=run").run_dir != plain.run_dir


def test_a_path_may_hold_what_hydra_gives_a_meaning_to(source: Path, tmp_path: Path) -> None:
    odd = tmp_path / "a (b), é=1"
    odd.symlink_to(source)
    args = (*TINY, "kimg=0.008", "method=stylegan2", f"init_from={odd}", f"run_dir={tmp_path / 'run'}")
    assert answer("train", *args).code == 0
