"""Draw samples: ``python -m aestyle.sample ckpt=<run folder> n=64 seed=0 output=<folder>``."""

from omegaconf import DictConfig

from aestyle.entry import entry


@entry("sample")
def main(cfg: DictConfig) -> None:
    """Writes ``n`` samples as PNGs and all of them as ``grid.png``."""
    from pathlib import Path

    from aestyle.studies.evaluation import find_device
    from aestyle.studies.loading import load_run
    from aestyle.studies.pictures import write_samples

    device = find_device(cfg.device)
    model, _, _ = load_run(cfg.ckpt)
    write_samples(model.to(device), cfg.n, cfg.seed, cfg.batch_size, Path(cfg.output))
    print(f"{cfg.n} samples are in {cfg.output}")


if __name__ == "__main__":
    main()
