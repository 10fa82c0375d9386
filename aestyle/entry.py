"""Turns a function into a Hydra command that answers mistakes with one line.

Nothing heavy is imported here: an unknown option is answered in half a second.
"""

import difflib
import functools
import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

from omegaconf import DictConfig, OmegaConf

from aestyle.errors import TrainingAborted, UserError
from aestyle.processes import is_first_here, keep_freed_memory
from aestyle.resolvers import CONF, cuda_available, register

PATH_KEYS = (
    *("run_dir", "run", "sweep", "ckpt", "init_from", "input", "codes", "output", "real", "fake", "reference", "crash"),
    *("dataset.path", "paths.runs", "paths.data", "task.file"),
)
"""Options whose values are paths, which may hold anything that Hydra's grammar gives a meaning to."""

LAUNCHED = ("launcher=submitit_", "search=optuna")
"""Options that make even a single run one of a multirun."""

HEAD_START = 3.0
"""Seconds that the process that tells an error gets before the others end."""

EXTRAS = {
    **{"hydra/launcher/joblib": "sweeps", "hydra/sweeper/optuna": "optuna"},
    **{f"hydra/launcher/submitit_{where}": "slurm" for where in ("local", "slurm")},
}
"""Plugins of Hydra, and the extra of this package that brings them."""

register()  # also in a launcher's worker process, which comes here to find the command that it is to run


def entry(config_name: str) -> Callable[[Callable[[DictConfig], Any]], Callable[[], None]]:
    """Makes ``main(cfg)`` a command configured by ``conf/<config_name>.yaml``.

    Args:
        config_name: name of the primary configuration.
    """

    def decorate(function: Callable[[DictConfig], Any]) -> Callable[[], None]:
        @functools.wraps(function)
        def command() -> None:
            os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # makes Hydra raise instead of printing and exiting
            args = _launched(sys.argv[1:]) if config_name == "train" else sys.argv[1:]
            multirun = any(arg in ("-m", "--multirun") for arg in args)
            try:
                _refuse_empty_paths(args)
                _refuse_shared_run_dir(args, multirun)
                sys.argv[1:] = [_readable(arg, multirun) for arg in args]
                _run_hydra(function, config_name)
            except Exception as error:  # what is not the user's to mend goes on as a traceback
                _wait_for_jobs(error)
                _report(error, config_name)

        return command

    return decorate


def _run_hydra(function: Callable[[DictConfig], Any], config_name: str) -> None:
    import hydra
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    @functools.wraps(function)
    def job(cfg: DictConfig) -> Any:
        try:
            _refuse_missing(cfg)
            keep_freed_memory()
            return function(cfg)
        except Exception as error:
            _remove_if_empty(Path(HydraConfig.get().runtime.output_dir), cfg)
            if HydraConfig.get().mode == RunMode.MULTIRUN:
                raise  # the sweep goes on with its other jobs and reports at its end
            _report(error, config_name)

    hydra.main(version_base="1.3", config_path=str(CONF), config_name=config_name)(job)()


# -- before Hydra sees the command line ------------------------------------------------------------------------------


def _readable(arg: str, multirun: bool) -> str:
    """Replaces ``scale=auto`` by what it means here, and quotes paths that Hydra's grammar would trip over."""
    key, separator, value = arg.partition("=")
    if key == "scale" and value == "auto":
        return f"scale={'paper' if cuda_available() else 'cpu'}"
    if not separator or key.lstrip("+") not in PATH_KEYS or re.fullmatch(r"[\w./:@%-]*", value, re.ASCII):
        return arg
    if value[:1] in ("'", '"') or "${" in value or (multirun and _parses(arg)):
        return arg
    quoted = value.replace("\\", "\\\\").replace("'", "\\'") if value.endswith("\\") else value.replace("'", "\\'")
    return f"{key}='{quoted}'"


def _parses(arg: str) -> bool:
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        OverridesParser.create().parse_overrides([arg])
    except HydraException:
        return False
    return True


def _launched(args: list[str]) -> list[str]:
    """Makes a training that submitit starts or Optuna chooses a multirun: Hydra has launchers and sweepers only there.

    ``sweep=`` becomes ``search=``: a group of the former name would claim ``sweep=<folder>`` of ``aestyle.report``.
    """
    args = [re.sub("^sweep=", "search=", arg) for arg in args]
    asks = any(arg.startswith("-") for arg in args)  # --help, --cfg job, or for a multirun anyway
    return [*args, "--multirun"] if any(arg.startswith(LAUNCHED) for arg in args) and not asks else args


def _refuse_empty_paths(args: list[str]) -> None:
    for arg in args:
        key, separator, value = arg.partition("=")
        if separator and key in PATH_KEYS and not value.strip("'\""):
            raise UserError(f"{key}= is empty: give a path, or leave the option out")


def _refuse_shared_run_dir(args: list[str], multirun: bool) -> None:
    single = args[-1:] == ["--multirun"] and any(arg.startswith(LAUNCHED[0]) for arg in args)  # no -m was given
    for arg in args if multirun and not single else []:
        key, _, value = arg.partition("=")
        if key == "run_dir" and "${" not in value and "," not in value:
            raise UserError(
                f"run_dir={value} would be shared by all jobs of this multirun: leave it out (each job then has its "
                "own folder below runs/), or set paths.runs=<folder>"
            )


# -- errors ----------------------------------------------------------------------------------------------------------


def _refuse_missing(cfg: DictConfig) -> None:
    missing = sorted(_missing(OmegaConf.to_container(cfg, resolve=False)))
    if missing:
        group = missing[0].partition(".")[0]
        advice = OmegaConf.select(cfg, f"{group}.help") or "it has no default"
        raise UserError(f"{missing[0]} is not set: give {missing[0]}=<value> ({advice})")


def _missing(node: Any, name: str = "") -> Iterator[str]:
    """Names of the options marked ``???``; OmegaConf's own search stumbles over references to them."""
    if isinstance(node, dict):
        for key, child in node.items():
            yield from _missing(child, f"{name}.{key}" if name else str(key))
    elif node == "???":
        yield name


def _remove_if_empty(run_dir: Path, cfg: DictConfig) -> None:
    """Hydra makes the run folder before the job starts; a job that was refused leaves none behind."""
    runs = Path(OmegaConf.select(cfg, "paths.runs") or run_dir).absolute()
    for folder in (run_dir, runs):
        if folder.resolve() != Path.cwd() and folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def _is_of_killed_job(error: BaseException) -> bool:
    """Whether a job that submitit started is gone without a result."""
    return type(error).__name__ == "UncompletedJobError"


def _wait_for_jobs(error: Exception) -> None:
    """A sweep ends with its last job: submitit, told that one was killed, leaves the others of this machine alone."""
    while _is_of_killed_job(error):
        try:
            os.wait()
        except ChildProcessError:
            return


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _report(error: Exception, config_name: str) -> NoReturn:
    """Prints one line and exits if the user can mend ``error``; raises it again otherwise."""
    message, code = _explain(error, config_name), 2
    if isinstance(error, TrainingAborted):
        message, code = str(error), 1
    if _is_of_killed_job(error):
        message, code = (
            f"a job was killed; the same command completes what is missing ({str(error).splitlines()[0]})",
            1,
        )
    if message is None:
        raise error
    if is_first_here():
        print(f"aestyle: {' '.join(message.split())}", file=sys.stderr, flush=True)
    else:
        time.sleep(HEAD_START)  # torchrun ends all processes with the first that ends
    raise SystemExit(code)


def _explain(error: Exception, config_name: str) -> str | None:
    from hydra.errors import (
        ConfigCompositionException,
        HydraException,
        InstantiationException,
        MissingConfigException,
        OverrideParseException,
    )

    for cause in _causes(error):
        if isinstance(cause, UserError):
            return str(cause)
    for cause in _causes(error):
        if isinstance(cause, MissingConfigException):
            return _unknown_choice(cause)
        if isinstance(cause, OverrideParseException):
            return (
                f"{cause.override} cannot be read: give options as name=value, and quote a value as in name=\"'a (b)'\""
            )
        if isinstance(cause, ConfigCompositionException):
            return _unknown_option(cause, config_name)
        if isinstance(cause, InstantiationException):
            return f"the configuration cannot be built: {cause}"
        if isinstance(cause, OSError) and cause.strerror:
            return f"{cause.filename or 'writing'}: {cause.strerror}; free space or choose another folder"
        if isinstance(cause, HydraException):
            return str(cause)
    return None


def _unknown_choice(error: Any) -> str:
    """``method=join_ae``: the choices of that group, the nearest first."""
    group, _, name = str(error.missing_cfg_file).removesuffix(".yaml").rpartition("/")
    if extra := EXTRAS.get(f"{group}/{name}"):
        return f"{name} needs an extra: pip install 'aestyle[{extra}]'"
    options = sorted(path.stem for path in (CONF / group).glob("*.yaml")) if group else error.options or []
    return f"{group}={name} does not exist; {_nearest(name, options, f'all are in conf/{group}')}"


def _unknown_option(error: Exception, config_name: str) -> str:
    """``sed=1``: the options with the most similar names."""
    text = str(error)
    if match := re.search(r"Could not override '([^']+)'", text):
        return f"unknown option {match[1]}; {_nearest(match[1], _option_names(config_name), 'all: --cfg job')}"
    return text.splitlines()[0]


def _option_names(config_name: str) -> list[str]:
    from hydra import compose, initialize_config_dir

    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose(config_name)

    def names(node: Any, prefix: str) -> Iterator[str]:
        for key in node:
            yield f"{prefix}{key}"
            if OmegaConf.is_dict(value := node._get_node(key)):
                yield from names(value, f"{prefix}{key}.")

    groups = [path.relative_to(CONF).as_posix() for path in CONF.rglob("*") if path.is_dir()]
    return [*names(cfg, ""), *groups]


def _nearest(name: str, options: list[str], elsewhere: str) -> str:
    """The options, if they are few; else those with similar names, and where the others are."""
    if len(options) <= 40:
        return f"choose one of: {', '.join(options)}"
    leaf = name.rpartition(".")[2]
    near = difflib.get_close_matches(name, options, 3, 0.5)
    near += [o for o in options if difflib.SequenceMatcher(None, o.rpartition(".")[2], leaf).ratio() > 0.75]
    shown = ", ".join(dict.fromkeys(near[:5])) or "none has a similar name"
    return f"nearest: {shown} ({elsewhere})"
