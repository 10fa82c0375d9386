"""Invert pictures into codes: ``python -m aestyle.invert ckpt=<run folder> input=<folder> output=<folder>``."""

from typing import Any

from omegaconf import DictConfig

from aestyle.entry import entry

TOLD = ("schedule", "loss", "start", "restarts", "seed")
"""Options that codes depend on, beside their space."""


@entry("invert")
def main(cfg: DictConfig) -> None:
    """Optimises codes of pictures; writes them with curves, reconstructions and a contact sheet."""
    from pathlib import Path

    from hydra.utils import instantiate
    from omegaconf import OmegaConf

    from aestyle.studies.evaluation import find_device
    from aestyle.studies.inverting import Inversion, find_targets

    options = {name: cfg[name] for name in ("space", "start", "restarts", "seed", "batch_size")}
    built = {name: instantiate(cfg.get(name), _convert_="all") for name in ("schedule", "tune")}
    plain: dict[str, Any] = OmegaConf.to_container(cfg, resolve=True)  # type: ignore[assignment]
    told = {name: plain[name] for name in TOLD}
    inversion = Inversion(instantiate(cfg.loss, _convert_="all"), **options, **built, told=told)
    where = {"batch_size": cfg.batch_size, "device": find_device(cfg.device)}
    targets = find_targets(cfg.ckpt, cfg.input, cfg.samples, cfg.images, cfg.seed, **where)
    for line in inversion(targets, Path(cfg.output)):
        print(line)


if __name__ == "__main__":
    main()
