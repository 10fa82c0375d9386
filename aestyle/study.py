"""Run what is missing of a study: ``python -m aestyle.study path=experiments/ae_stylegan``.

A study is a folder with a ``study.yaml`` (see ``experiments/README.md``). Finished runs are skipped, killed ones go on,
a failed one is reported and does not stop the rest. The exit code is 1 if a run failed.
"""

from omegaconf import DictConfig

from aestyle.entry import entry


@entry("study")
def main(cfg: DictConfig) -> None:
    """Prints what is done and missing, trains and measures the rest, and writes a result file for each run."""
    from hydra.core.hydra_config import HydraConfig

    from aestyle.studies.launching import Settings, run_study
    from aestyle.studies.study import Study

    settings = Settings(
        runs=cfg.runs,
        threads=cfg.threads,
        device=cfg.device,
        batch_size=cfg.batch_size,
        launcher=HydraConfig.get().launcher,
        logger=cfg.logger,
    )
    only = [cfg.only] if isinstance(cfg.only, str) else cfg.only
    if not run_study(Study.load(cfg.path), cfg.scale.name, settings, only, cfg.seeds, dry=cfg.dry, accept=cfg.accept):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
