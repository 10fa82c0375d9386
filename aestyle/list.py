"""What there is to choose from: ``python -m aestyle.list what=methods``."""

from omegaconf import DictConfig

from aestyle.entry import entry


@entry("list")
def main(cfg: DictConfig) -> None:
    """Prints methods, data sets, metrics, editing tasks, inversion presets, experiments and shipped models."""
    from aestyle.studies.listing import catalogue

    print(*catalogue(cfg.what), sep="\n")


if __name__ == "__main__":
    main()
