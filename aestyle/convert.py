"""Use a checkpoint of the reference code here: ``python -m aestyle.convert input=550000.pt output=runs/converted``.

Or give a model away in one small file: ``python -m aestyle.convert input=runs/demo output=faces.safetensors``.
"""

from omegaconf import DictConfig

from aestyle.entry import entry


@entry("convert")
def main(cfg: DictConfig) -> None:
    """Writes a run folder, or a model for use alone, that every other command reads; says what the checkpoint held."""
    from pathlib import Path

    from aestyle.studies.conversion import convert
    from aestyle.studies.export import export

    if str(cfg.output).endswith(".safetensors"):
        for line in export(Path(cfg.input), Path(cfg.output)):
            print(line)
        return
    for line in convert(Path(cfg.input), Path(cfg.output), cfg.dataset.path):
        print(line)
    print(f"converted; look at it with python -m aestyle.sample ckpt={cfg.output} output=<folder>")


if __name__ == "__main__":
    main()
