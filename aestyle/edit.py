"""Edit pictures in latent space: ``python -m aestyle.edit task=mix ckpt=<run> input=<folder> output=<folder>``."""

from omegaconf import DictConfig

from aestyle.entry import entry


@entry("edit")
def main(cfg: DictConfig) -> None:
    """Works on the codes of pictures, one task of ``conf/task`` at a time; writes sheets, pages, films and codes."""
    from pathlib import Path

    from hydra.utils import instantiate

    from aestyle.studies.editing.material import gather
    from aestyle.studies.evaluation import find_device

    task = instantiate(cfg.task, _convert_="all")
    where = {"batch_size": cfg.batch_size, "device": find_device(cfg.device), "codes": cfg.codes, "split": cfg.split}
    sampled = task.shows_samples and cfg.input is None and cfg.codes is None and cfg.samples is None
    samples = task.images if sampled else cfg.samples
    material, notes = gather(cfg.ckpt, task.images, cfg.input, samples, cfg.seed, **where)
    for line in [*notes, *task(material, Path(cfg.output))]:
        print(line)


if __name__ == "__main__":
    main()
