"""Trained models back into memory: ``aestyle.load``."""

from dataclasses import dataclass
from pathlib import Path

from hydra.utils import instantiate
from omegaconf import DictConfig, ListConfig, OmegaConf

from aestyle.data.datamodule import ImageDataModule
from aestyle.engine.checkpoint import latest_checkpoint, read_checkpoint
from aestyle.engine.module import PhasedModule
from aestyle.engine.slim import SUFFIX
from aestyle.errors import UserError
from aestyle.studies.listing import SHIPPED


@dataclass(frozen=True)
class RunInfo:
    """Where a model comes from.

    Args:
        run_dir: its run folder (of a lone checkpoint: the folder it lies in; of a shipped model: the current one).
        checkpoint: the file that was read.
        kimg: thousand images it was trained on.
    """

    run_dir: Path
    checkpoint: Path
    kimg: float


def load(ckpt: str | Path, device: str = "cpu") -> PhasedModule:
    """Loads a trained model.

    Args:
        ckpt: a run folder, a checkpoint file, or the name of a model that comes with the package (:func:`shipped`).
        device: where the model goes.

    Returns:
        The model in eval mode, without gradients: ``encode``, ``decode`` and ``sample`` are what it offers.

    Raises:
        UserError: there is no checkpoint, or it is truncated or foreign.
    """
    return load_run(ckpt)[0].to(device)


def load_run(ckpt: str | Path) -> tuple[PhasedModule, DictConfig, RunInfo]:
    """Loads a trained model with its configuration and origin; see :func:`load`."""
    path = find_checkpoint(Path(ckpt))
    checkpoint = read_checkpoint(path)
    state = checkpoint["aestyle"]
    try:
        cfg = OmegaConf.create(state["config"])
        assert isinstance(cfg, DictConfig)
        refuse_foreign_targets(cfg, path)
        model: PhasedModule = instantiate(cfg.method, _convert_="all")
        for name in set(model.networks) - {key.split(".")[0] for key in checkpoint["state_dict"]}:
            setattr(model, name, None)  # a model for use alone comes without its discriminator
        found = model.load_state_dict(checkpoint["state_dict"], strict=False)
        needed = {"ema", *model.networks}  # the rest is of the training only
        if wrong := found.unexpected_keys + [key for key in found.missing_keys if key.split(".")[0] in needed]:
            raise ValueError(f"{wrong[0]} is in one of them only")
        model.on_load_checkpoint(checkpoint)
    except UserError:
        raise
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(
            f"{path}: its model cannot be built from the configuration in it ({reason}); "
            "load it with the version of aestyle that wrote it"
        ) from error
    model.config_yaml = state["config"]
    if path.parent == SHIPPED:
        run_dir = Path.cwd()  # results about a shipped model stay with who measures it
    else:
        run_dir = path.parent.parent if path.parent.name == "checkpoints" else path.parent
    return model.eval().requires_grad_(False), cfg, RunInfo(run_dir, path, state["images_seen"] / 1000)


def load_data(cfg: DictConfig, info: RunInfo) -> ImageDataModule:
    """The data module of a run.

    Args:
        cfg: the run's configuration.
        info: where it comes from, for messages.

    Raises:
        UserError: the run does not say where its pictures are, as a converted one, or they are not there any more.
    """
    missing = sorted(OmegaConf.missing_keys(cfg.data))
    if missing:
        raise UserError(
            f"{info.run_dir}: its configuration leaves {missing[0]} open; convert it again into another folder, "
            "with dataset.path=<folder of pictures>"
        )
    data: ImageDataModule = instantiate(cfg.data, _convert_="all")
    return data


def shipped() -> dict[str, Path]:
    """The trained models that come with the package, by name."""
    return {path.stem: path for path in sorted(SHIPPED.glob(f"*{SUFFIX}"))}


def find_checkpoint(path: Path) -> Path:
    """The checkpoint that a run folder, a file name or the name of a shipped model means.

    Raises:
        UserError: there is none.
    """
    if path.is_file():
        return path
    if not path.exists():
        if str(path) in shipped():
            return shipped()[str(path)]
        raise UserError(
            f"{path}: there is no such run folder or checkpoint; train one with python -m aestyle.train, or take what "
            f"comes with the package: {', '.join(shipped()) or 'nothing yet'}"
        )
    found = latest_checkpoint(path)
    if found is None:
        raise UserError(
            f"{path}: holds no checkpoints/last.ckpt; give a run folder that aestyle.train wrote, or a file"
        )
    return found


def refuse_foreign_targets(cfg: DictConfig, path: Path) -> None:
    """A checkpoint may only name classes of this package: loading one must not be able to run anything else."""

    def targets(node: object) -> list[str]:
        if isinstance(node, DictConfig):
            own = [str(node["_target_"])] if "_target_" in node else []
            return own + [t for key in node if not OmegaConf.is_missing(node, key) for t in targets(node[key])]
        return [t for child in node for t in targets(child)] if isinstance(node, ListConfig) else []

    foreign = [t for name in ("method", "data") for t in targets(cfg.get(name)) if not t.startswith("aestyle.")]
    if foreign:
        raise UserError(f"{path}: refused, its configuration names {foreign[0]}, which is not part of aestyle")
