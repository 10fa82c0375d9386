"""Train a method on a data set: ``python -m aestyle.train method=joint_ae dataset=orl_faces``.

The same command goes on where it stopped.
"""

from pathlib import Path

from omegaconf import DictConfig

from aestyle.entry import entry


@entry("train")
def main(cfg: DictConfig) -> None:
    """Trains and leaves checkpoints, samples and statistics in the run folder."""
    from hydra.core.hydra_config import HydraConfig

    from aestyle.studies.training import train

    train(cfg, Path(HydraConfig.get().runtime.output_dir))


if __name__ == "__main__":
    main()
