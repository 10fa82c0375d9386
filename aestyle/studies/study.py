"""What belongs to a study: ``study.yaml`` unrolled into runs with seeds."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from aestyle.errors import UserError

FILE = "study.yaml"


@dataclass(frozen=True)
class Job:
    """One run of a study with one seed.

    Args:
        run: the run's name in tables.
        seed: of the training.
        scale: ``cpu`` or ``paper``.
        overrides: options of ``aestyle.train``, without the seed.
        metrics: files in ``conf/metrics``.
        after: run whose model of the same seed this one starts from, as ``init_from``.
    """

    run: str
    seed: int
    scale: str
    overrides: tuple[str, ...]
    metrics: tuple[str, ...]
    after: str | None = None

    @property
    def name(self) -> str:
        """Run and seed; its result file is called like this."""
        return f"{self.run}-seed{self.seed}"

    @property
    def before(self) -> str | None:
        """Name of the job that this one starts from."""
        return f"{self.after}-seed{self.seed}" if self.after else None


@dataclass(frozen=True)
class Scale:
    """What all runs have in common at one scale.

    Args:
        overrides: come before those of the run.
        seeds: each run is trained once with each.
        metrics: what is measured.
        datasets: those that a run with ``datasets: all`` is repeated on, and overrides for each; the other runs use the
            first.
    """

    overrides: tuple[str, ...] = ()
    seeds: tuple[int, ...] = (0,)
    metrics: tuple[str, ...] = ()
    datasets: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Study:
    """A list of runs.

    Args:
        name: names the folder of its run folders.
        folder: where its ``study.yaml`` is, and its results go.
        scales: settings of each scale.
        runs: options of each run, as in the file.
    """

    name: str
    folder: Path
    scales: Mapping[str, Scale]
    runs: Mapping[str, Mapping[str, Any]]

    @classmethod
    def load(cls, folder: str | Path) -> "Study":
        """Reads ``study.yaml``.

        Args:
            folder: the study's folder.

        Raises:
            UserError: there is no such file, or it cannot be understood.
        """
        file = Path(folder) / FILE
        if not file.is_file():
            raise UserError(f"{file}: there is no such file; give a folder that holds a {FILE}")
        try:
            content = OmegaConf.to_container(OmegaConf.load(file), resolve=False)  # options may hold interpolations
        except (YAMLError, OmegaConfBaseException) as error:
            raise UserError(f"{file}: cannot be read ({' '.join(str(error).split())})") from error
        top = _mapping(content, ("name", "scales", "runs"), file, "a study")
        if missing := [key for key in ("name", "scales", "runs") if not top.get(key)]:
            raise UserError(f"{file}: says nothing about {missing[0]}; a study has name, scales and runs")
        scales = {name: _scale(given, file, name) for name, given in top["scales"].items()}
        keys = ("overrides", "after", "metrics", "seeds", "scales", "datasets")
        runs = {str(name): _mapping(given, keys, file, f"run {name}") for name, given in top["runs"].items()}
        return cls(str(top["name"]), Path(folder), scales, runs)

    def jobs(self, scale: str, seeds: Iterable[int] | None = None) -> list[Job]:
        """Every run and seed of a scale: all runs with the first seed in the order of the file, then with the next.

        So a study that is cut short has as many runs as possible.

        Args:
            scale: a key of ``scales``.
            seeds: in place of the file's.

        Raises:
            UserError: the study has no such scale, or a run starts from one that is not there.
        """
        if scale not in self.scales:
            raise UserError(f"scale={scale}: {self.folder / FILE} has {', '.join(self.scales)}; choose one of them")
        common = self.scales[scale]
        jobs = [
            replace(job, seed=seed)
            for name, options in self.runs.items()
            if _has(options, scale)
            for job in self._on_datasets(name, options, scale, common)
            for seed in (seeds if seeds is not None else options.get("seeds", common.seeds))
        ]
        self._check_order(jobs, scale)
        order = list(dict.fromkeys(job.seed for job in jobs))
        return sorted(jobs, key=lambda job: order.index(job.seed))

    def _check_order(self, jobs: Iterable[Job], scale: str) -> None:
        before = {job.name: job.before for job in jobs}
        for name, needed in before.items():
            if needed and needed not in before:
                raise UserError(
                    f"{self.folder / FILE}: {name} starts after {needed}, which is not there at scale={scale}; "
                    "name a run that has this scale and seed"
                )
        try:
            TopologicalSorter({name: [needed] if needed else [] for name, needed in before.items()}).prepare()
        except CycleError as error:
            raise UserError(
                f"{self.folder / FILE}: {' and '.join(error.args[1][1:])} start after each other"
            ) from error

    def _on_datasets(self, name: str, options: Mapping[str, Any], scale: str, common: Scale) -> list[Job]:
        """The run as it is, or once for each data set."""
        every = options.get("datasets") == "all"
        own = (*options.get("overrides", ()), *_of_scale(options, scale))
        metrics = tuple(options.get("metrics", common.metrics))
        jobs = []
        for dataset in common.datasets if every else list(common.datasets)[:1] or ("",):
            chosen = (f"dataset={dataset}", *common.datasets[dataset]) if dataset else ()
            overrides = _last_of_each((*common.overrides, *chosen, *own))
            after = self._predecessor(options.get("after"), dataset)
            jobs.append(Job(f"{name}-{dataset}" if every else name, 0, scale, overrides, metrics, after))
        return jobs

    def _predecessor(self, after: str | None, dataset: str) -> str | None:
        """The full name of the run to start from: of one that is repeated on data sets, the one on the same."""
        repeated = self.runs.get(after or "", {}).get("datasets") == "all"
        return f"{after}-{dataset}" if repeated else after

    def select(self, jobs: Sequence[Job], only: Iterable[str] | None) -> list[Job]:
        """The jobs whose runs are named or matched by a pattern.

        Args:
            jobs: of this study.
            only: names or glob patterns; None takes all.

        Raises:
            UserError: a pattern matches nothing.
        """
        patterns = list(only) if only is not None else ["*"]
        for pattern in patterns:
            if not any(fnmatchcase(job.run, pattern) for job in jobs):
                names = ", ".join(dict.fromkeys(job.run for job in jobs))
                raise UserError(f"only={pattern} matches no run of {self.folder / FILE}; its runs: {names}")
        return [job for job in jobs if any(fnmatchcase(job.run, pattern) for pattern in patterns)]


def _scale(given: Any, file: Path, name: str) -> Scale:
    options = dict(_mapping(given, ("overrides", "seeds", "metrics", "datasets"), file, f"scale {name}"))
    datasets = options.pop("datasets", ())
    own = datasets if isinstance(datasets, dict) else dict.fromkeys(datasets)
    settings: dict[str, Any] = {key: tuple(value) for key, value in options.items()}
    return Scale(**settings, datasets={dataset: tuple(overrides or ()) for dataset, overrides in own.items()})


def _mapping(given: Any, keys: Sequence[str], file: Path, what: str) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise UserError(f"{file}: {what} is no mapping; it has {', '.join(keys)}")
    if unknown := [str(key) for key in given if key not in keys]:
        raise UserError(f"{file}: {what} has no {unknown[0]}; it has {', '.join(keys)}")
    return given


def _has(options: Mapping[str, Any], scale: str) -> bool:
    return scale in options["scales"] if "scales" in options else True


def _of_scale(options: Mapping[str, Any], scale: str) -> Sequence[str]:
    """``scales`` is a list, or a mapping to overrides for the one scale."""
    scales = options.get("scales", ())
    return scales.get(scale) or () if isinstance(scales, dict) else ()


def _last_of_each(overrides: Iterable[str]) -> tuple[str, ...]:
    """Of several overrides of one option, only the last."""
    last: dict[str, str] = {}
    for override in overrides:
        key = override.partition("=")[0]
        last.pop(key, None)
        last[key] = override
    return tuple(last.values())
