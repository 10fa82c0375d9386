"""Measure a trained model: ``python -m aestyle.evaluate ckpt=<run folder> metrics=[rec_mse,fd_efflite0]``."""

from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from aestyle.entry import entry
from aestyle.errors import UserError


@entry("evaluate")
def main(cfg: DictConfig) -> None:
    """Prints a table of metrics and appends them to ``metrics.jsonl`` in the run folder."""
    from hydra.utils import instantiate
    from rich.console import Console

    from aestyle.studies.evaluation import append_records, evaluate, find_device, joined, table

    if not cfg.get("metrics"):
        raise UserError("metrics=[] measures nothing: name a set or some metrics, as in metrics=[rec_mse]")
    device = find_device(cfg.device)
    subject, folder, title = _folders(cfg) if cfg.real or cfg.fake else _run(cfg, device)
    recipes = [instantiate(recipe) for recipe in cfg.metrics.values()]
    if cfg.split is not None:
        recipes = [recipe.on(cfg.split) for recipe in recipes]
    if cfg.cache != "auto":
        subject["cache"] = cfg.cache and Path(cfg.cache).expanduser()
    skipped: dict[str, str] = {}
    with joined() as share:
        console = Console(quiet=share.rank > 0)
        records = evaluate(
            **subject,
            recipes=recipes,
            device=device,
            batch_size=cfg.batch_size,
            console=console,
            share=share,
            not_measured=skipped,
        )
    if not records:
        raise UserError(next(iter(skipped.values())))
    if share.rank == 0:
        for reason in skipped.values():
            print(f"not measured: {reason}")
        path = append_records(records, folder)
        console.print(table(records, title=title))
        print(f"{subject['checkpoint']}: added to {path}")


def _run(cfg: DictConfig, device: Any) -> tuple[dict[str, Any], Path, str]:
    """A trained model: what is measured, where the results go, and what they are called."""
    from aestyle.studies.loading import load_data, load_run

    if cfg.ckpt is None:
        raise UserError(
            "ckpt is not set: give ckpt=<value> (a run folder or checkpoint), or real=<folder> fake=<folder>"
        )
    model, run_cfg, info = load_run(cfg.ckpt)
    origin = {"checkpoint": str(info.checkpoint), "kimg": info.kimg, "cache": info.run_dir.parent / ".features"}
    subject = {"model": model.to(device), "data": load_data(run_cfg, info), **origin}
    return subject, info.run_dir, f"after {info.kimg:g} kimg"


def _folders(cfg: DictConfig) -> tuple[dict[str, Any], Path, str]:
    """Two folders of pictures; likewise."""
    from aestyle.studies.evaluation import open_folders

    if cfg.ckpt is not None or not (cfg.real and cfg.fake):
        raise UserError("give either ckpt=<run folder or checkpoint>, or both real=<folder> and fake=<folder>")
    data, fakes = open_folders(cfg.real, cfg.fake)
    here = Path.cwd()
    subject = {"model": None, "data": data, "fakes": fakes, "checkpoint": str(cfg.fake), "cache": here / ".features"}
    return subject, here, f"{cfg.fake} from {cfg.real}"


if __name__ == "__main__":
    main()
