"""Every configuration that the suite ships, composed and run."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from torch import nn

from aestyle import resolvers
from aestyle.entry import CONF
from aestyle.errors import UserError
from aestyle.studies.options import refuse_bad_values
from aestyle.studies.training import run_config, train
from tests.helpers import FAST, answer, choices, compose_train, write_pictures
from tests.tiny import init_options

METHODS = choices("method")
NARROW = ("scale.channels={4: 8, 8: 8, 16: 8, 32: 8, 64: 8, 128: 8, 256: 8}", "scale.style_dim=16", "trainer=cpu",
          "++scale.batch_sizes={}", "++scale.batch_steps={}")  # fmt: skip


def run_two_iterations(run_dir: Path, *overrides: str) -> None:
    batch_size = compose_train(*overrides).batch_size
    method = train(compose_train(*overrides, f"kimg={2 * batch_size / 1000}", f"run_dir='{run_dir}'"), run_dir)
    assert method is not None
    assert method.batches_seen == 2
    assert method.bad_steps == 0


# -- every file ------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("name", choices("experiment"))
def test_every_experiment_runs_two_batches(name: str, tmp_path: Path) -> None:
    run_two_iterations(tmp_path, f"experiment={name}", "dataset=orl_faces", *NARROW)  # others may need fetching


@pytest.mark.slow
@pytest.mark.parametrize("name", choices("debug"))
def test_every_debug_file_runs_two_batches(name: str, tmp_path: Path) -> None:
    run_two_iterations(tmp_path, "scale=cpu", f"debug={name}", *NARROW)


@pytest.mark.slow
@pytest.mark.parametrize("dataset", ["orl_faces", "folder"])
@pytest.mark.parametrize("method", METHODS)
def test_every_method_runs_two_batches_at_cpu_scale(method: str, dataset: str, tmp_path: Path) -> None:
    overrides = ["scale=cpu", f"method={method}", f"dataset={dataset}", "debug=fast", "trainer=cpu", "batch_size=16"]
    if dataset == "folder":
        pictures = write_pictures(tmp_path / "pictures", *(f"{i}.png" for i in range(8)), size=40)
        overrides += [f"dataset.path={pictures}", "dataset.num_workers=0"]
    init = init_options(method, tmp_path / "generator", *overrides)
    run_two_iterations(tmp_path / "run", *overrides, *init)


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def build_at_paper_scale(method: str, *overrides: str) -> nn.Module:
    cfg = compose_train("scale=paper", "dataset=ffhq", "dataset.path=pictures", f"method={method}", *overrides)
    with torch.device("meta"):
        built: nn.Module = instantiate(cfg.method, _convert_="all")
    return built


@pytest.mark.parametrize("method", METHODS)
def test_every_method_builds_at_paper_scale_with_the_parameter_counts_of_the_papers(method: str) -> None:
    built = build_at_paper_scale(method)
    assert all(p.is_meta for p in built.parameters())
    if method in ("stylegan2", "joint_ae"):
        assert count(built.mapping) + count(built.synthesis) == 29_328_669
        assert count(built.discriminator) == 28_389_121


@pytest.mark.parametrize(("encoder", "parameters"), [("w", 28_646_656), ("w_plus", 31_535_872)])
def test_the_encoders_of_joint_ae_have_the_parameter_counts_of_the_paper(encoder: str, parameters: int) -> None:
    assert count(build_at_paper_scale("joint_ae", f"method/encoder={encoder}").encoder) == parameters


def test_the_encoder_into_matrices_is_hardly_larger_than_the_one_into_w_plus() -> None:
    built = build_at_paper_scale("joint_ae", "method/generator=overparam", "method/encoder=matrix")
    assert count(built.encoder.head) == 513 * (512 + 8 * (512 + 512))  # instead of 513 * 512 * 512


@pytest.mark.parametrize("options", ["method=overparam", "method=stylegan2 method/settings=auto"])
@pytest.mark.parametrize(("batch_size", "gamma", "ema"), [(16, 0.8192, 5), (32, 0.4096, 10), (64, 0.2048, 20)])
def test_settings_auto_are_those_of_stylegan2_ada_at_256_px(
    options: str, batch_size: int, gamma: float, ema: float
) -> None:
    method = compose_train("scale=paper", "resolution=256", f"batch_size={batch_size}", *options.split()).method
    assert method.r1.weight == pytest.approx(gamma)
    assert (method.lr, method.ema.half_life_kimg, method.ema.rampup) == (0.0025, ema, 0.05)
    assert (method.mapping.depth, method.synthesis.noise) == (2, False)


@pytest.mark.parametrize("trainer", choices("trainer"))
@pytest.mark.parametrize("logger", choices("logger"))
def test_every_logger_composes_with_every_trainer(logger: str, trainer: str) -> None:
    cfg = compose_train(f"logger={logger}", f"trainer={trainer}")
    plain = OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)
    assert plain["trainer"]["use_distributed_sampler"] is False
    assert list(plain["logger"]) == ([] if logger == "none" else [logger])


@pytest.mark.parametrize("name", choices("callbacks"))
def test_checkpoints_are_the_last_callback(name: str) -> None:
    assert list(compose_train(f"callbacks={name}").callbacks)[-1] == "checkpoints"


@pytest.mark.parametrize("method", METHODS)
def test_every_method_file_names_itself_and_takes_the_run_s_options(method: str) -> None:
    cfg = compose_train(f"method={method}", "seed=17")
    assert cfg.method.name == method
    assert cfg.method.seed == 17
    refuse_bad_values(cfg)
    OmegaConf.resolve(cfg.method)  # as --cfg job --resolve does


def test_every_choice_in_the_comments_of_the_defaults_list_exists() -> None:
    for line in (CONF / "train.yaml").read_text(encoding="utf-8").partition("_self_")[2].splitlines():
        option, _, comment = line.partition("#")
        group = option.strip(" -").partition(":")[0]
        if " | " in comment and (CONF / group).is_dir():
            assert {name.strip() for name in comment.split("|")} <= set(choices(group)), line


# -- what makes a run this run ---------------------------------------------------------------------------------------


def name_of(*overrides: str) -> str:
    return Path(compose_train("scale=cpu", "trainer=cpu", *overrides).run_dir).name


@pytest.mark.slow
@pytest.mark.parametrize(
    "override",
    ["seed=1", "method=stylegan2", "batch_size=4", "resolution=16", "method.lr=0.001", "dataset.flip=false",
     "method/encoder=w", "method.beta=null", "scale.style_dim=64", "dataset.split.test=[1]", "dataset.channels=3"],
)  # fmt: skip
def test_each_option_that_changes_the_result_changes_the_run_s_name(override: str) -> None:
    assert name_of(override) != name_of()
    assert name_of(override) == name_of(override)


@pytest.mark.parametrize(
    "override",
    ["kimg=3", "paths.runs=elsewhere", "logger=csv", "trainer=ddp_cpu", "trainer.devices=3", "dataset.num_workers=5",
     "callbacks.progress.every_seconds=1"],
)  # fmt: skip
def test_where_and_how_long_a_run_goes_does_not_change_its_name(override: str) -> None:
    assert name_of(override) == name_of()


def test_the_name_of_a_run_says_what_it_is() -> None:
    assert name_of("seed=5", "method=stylegan2").startswith("stylegan2-orl_faces-cpu-s5-")


def test_the_stored_configuration_has_the_identity_of_the_run(tmp_path: Path) -> None:
    cfg = compose_train("scale=cpu", f"seed={random.randrange(1000)}")
    (tmp_path / "config.yaml").write_text(run_config(cfg), encoding="utf-8")
    stored = OmegaConf.load(tmp_path / "config.yaml")
    assert isinstance(stored, DictConfig)
    assert "${" not in (tmp_path / "config.yaml").read_text(encoding="utf-8")
    assert resolvers.identity(stored) == resolvers.identity(cfg)


# -- resolvers -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("cuda", "scale", "trainer"), [(True, "paper", "gpu"), (False, "cpu", "cpu")])
def test_auto_is_paper_on_the_gpu_and_cpu_without(
    cuda: bool, scale: str, trainer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resolvers, "cuda_available", lambda: cuda)
    cfg = compose_train()
    assert cfg.scale.name == scale
    assert cfg.trainer.accelerator == trainer


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is here")
@pytest.mark.parametrize("option", [(), ("scale=auto",)])
def test_auto_is_cpu_here_and_a_line_says_so(
    option: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    fast = [arg for arg in FAST if not arg.startswith("scale=")]
    assert "at scale=cpu" in answer("train", *fast, *option, "method=stylegan2").out


def test_number_of_styles() -> None:
    for levels in range(3, 11):
        assert resolvers.num_ws(2**levels) == 2 * (levels - 1)


@pytest.mark.parametrize("resolution", [30, 4, 0, -32, "abc", 32.0])
def test_number_of_styles_refuses_what_is_no_power_of_two(resolution: int) -> None:
    with pytest.raises(UserError, match=f"resolution={resolution} is not a power of two"):
        resolvers.num_ws(resolution)


def test_scale_can_be_found_out_without_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    exists: Callable[[Path], bool] = lambda path: False  # noqa: E731
    monkeypatch.setattr(Path, "exists", exists)
    monkeypatch.setattr(resolvers.shutil, "which", lambda program: None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: pytest.fail("torch was asked"))
    assert resolvers.cuda_available() is False
