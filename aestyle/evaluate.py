"""Measure a trained model: ``python -m aestyle.evaluate ckpt=<run folder> metrics=[rec_mse,fd_efflite0]``."""

from omegaconf import DictConfig

from aestyle.entry import entry
from aestyle.errors import UserError


@entry("evaluate")
def main(cfg: DictConfig) -> None:
    """Prints a table of metrics and appends them to ``metrics.jsonl`` in the run folder."""
    from hydra.utils import instantiate
    from rich.console import Console

    from aestyle.studies.evaluation import append_records, evaluate, find_device, table
    from aestyle.studies.loading import load_data, load_run

    if not cfg.get("metrics"):
        raise UserError("metrics=[] measures nothing: name a set or some metrics, as in metrics=[rec_mse]")
    device = find_device(cfg.device)
    model, run_cfg, info = load_run(cfg.ckpt)
    data = load_data(run_cfg, info)
    recipes = [instantiate(recipe) for recipe in cfg.metrics.values()]
    if cfg.split is not None:
        recipes = [recipe.on(cfg.split) for recipe in recipes]
    console = Console()
    records = evaluate(
        model.to(device),
        data,
        recipes,
        checkpoint=str(info.checkpoint),
        kimg=info.kimg,
        device=device,
        batch_size=cfg.batch_size,
        console=console,
    )
    path = append_records(records, info.run_dir)
    console.print(table(records, title=f"after {info.kimg:g} kimg"))
    print(f"{info.checkpoint}: added to {path}")


if __name__ == "__main__":
    main()
