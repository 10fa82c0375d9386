"""Prepare a data set: ``python -m aestyle.prepare dataset=<name> [output=<folder>] [resolution=...] [check=true]``."""

from omegaconf import DictConfig

from aestyle.entry import entry


@entry("prepare")
def main(cfg: DictConfig) -> None:
    """Fetches what has to be fetched and writes an archive of resized pictures, or lists the broken ones."""
    from aestyle.studies.preparation import prepare

    prepare(cfg)


if __name__ == "__main__":
    main()
