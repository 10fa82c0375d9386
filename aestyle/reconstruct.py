"""Reconstruct pictures: ``python -m aestyle.reconstruct ckpt=<run folder> input=<folder> output=<folder>``."""

from omegaconf import DictConfig

from aestyle.entry import entry


@entry("reconstruct")
def main(cfg: DictConfig) -> None:
    """Writes the reconstruction of every picture as a PNG, and ``grid.png`` with originals above reconstructions."""
    from pathlib import Path

    from aestyle.data.transforms import Preparation
    from aestyle.studies.evaluation import find_device
    from aestyle.studies.loading import load_run
    from aestyle.studies.pictures import read_usable, skipped_line, write_reconstructions

    device = find_device(cfg.device)
    model, run_cfg, _ = load_run(cfg.ckpt)
    data = run_cfg.data
    preparation = Preparation(data.resolution, data.channels, data.crop, data.filter)
    keys, images, broken = read_usable(Path(cfg.input), preparation)
    if broken:
        print(skipped_line(broken))
    write_reconstructions(model.to(device), keys, images, cfg.batch_size, Path(cfg.output))
    print(f"{len(keys)} reconstructions are in {cfg.output}")


if __name__ == "__main__":
    main()
