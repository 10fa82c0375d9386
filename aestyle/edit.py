"""Edit pictures in latent space: ``python -m aestyle.edit task=mix ckpt=<run> input=<folder> output=<folder>``."""

from omegaconf import DictConfig

from aestyle.entry import entry


@entry("edit")
def main(cfg: DictConfig) -> None:
    """Mixes, interpolates, traverses, truncates or refines the codes of pictures; writes sheets, films and codes."""
    from pathlib import Path

    from hydra.utils import instantiate

    from aestyle.studies.editing.material import gather
    from aestyle.studies.evaluation import find_device

    task = instantiate(cfg.task, _convert_="all")
    where = {"batch_size": cfg.batch_size, "device": find_device(cfg.device)}
    material, notes = gather(cfg.ckpt, task.images, cfg.input, cfg.samples, cfg.seed, **where)
    for line in [*notes, *task(material, Path(cfg.output))]:
        print(line)


if __name__ == "__main__":
    main()
