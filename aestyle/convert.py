"""Use a checkpoint of the reference code here: ``python -m aestyle.convert input=550000.pt output=runs/converted``."""

from omegaconf import DictConfig

from aestyle.entry import entry


@entry("convert")
def main(cfg: DictConfig) -> None:
    """Writes a run folder that every other command reads, and says what the checkpoint held."""
    from pathlib import Path

    from aestyle.studies.conversion import convert

    for line in convert(Path(cfg.input), Path(cfg.output), cfg.dataset.path):
        print(line)
    print(f"converted; look at it with python -m aestyle.sample ckpt={cfg.output} output=<folder>")


if __name__ == "__main__":
    main()
