"""Train a method on a data set: ``python -m aestyle.train method=joint_ae dataset=orl_faces``.

The same command goes on where it stopped.
"""

from pathlib import Path

from omegaconf import DictConfig

from aestyle.entry import entry


@entry("train")
def main(cfg: DictConfig) -> float | None:
    """Trains and leaves checkpoints, samples and statistics in the run folder.

    Returns:
        The best value of the metric ``evaluate.best``, which a search of options goes by; None without one.
    """
    from hydra.core.hydra_config import HydraConfig

    from aestyle.studies.monitoring import best_value
    from aestyle.studies.training import train

    run_dir = Path(HydraConfig.get().runtime.output_dir)
    train(cfg, run_dir)
    return best_value(run_dir, cfg.evaluate.best)


if __name__ == "__main__":
    main()
