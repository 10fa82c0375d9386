"""A trained model as one small file to give away."""

from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from aestyle.engine.checkpoint import read_checkpoint
from aestyle.engine.slim import write_slim
from aestyle.studies.loading import find_checkpoint, load_run

OF_THE_RUN = ("run_dir", "logger", "callbacks", "trainer", "hydra")
DATA = "${oc.env:AESTYLE_DATA,data}"


def export(ckpt: Path, output: Path) -> list[str]:
    """Writes the averaged networks of a run, in half precision, and their configuration.

    Args:
        ckpt: run folder or checkpoint.
        output: the ``.safetensors`` file, replaced atomically; every command takes it as ``ckpt``.

    Returns:
        What was written, line by line.

    Raises:
        UserError: there is no such checkpoint, or it cannot be held in 16 bits.
    """
    path = find_checkpoint(ckpt)
    model, cfg, info = load_run(path)
    write_slim(output, read_checkpoint(path), portable(cfg))
    count = sum(p.numel() for network in model.ema.values() for p in network.parameters())
    megabytes = output.stat().st_size / 1e6
    return [f"{model.name} after {info.kimg:g} kimg: {', '.join(model.ema)}, {count:,} parameters, {megabytes:.1f} MB"]


def portable(cfg: DictConfig) -> str:
    """The configuration as YAML with its pictures wherever the reader keeps them, and no other path.

    Args:
        cfg: the configuration of a run.
    """
    plain: dict[str, Any] = OmegaConf.to_container(cfg, resolve=False)  # type: ignore[assignment]
    here = str(plain["paths"]["data"])

    def moved(node: Any) -> Any:
        if isinstance(node, dict):
            return {key: moved(child) for key, child in node.items()}
        if isinstance(node, list):
            return [moved(child) for child in node]
        return f"${{paths.data}}{node[len(here) :]}" if isinstance(node, str) and node.startswith(f"{here}/") else node

    kept = moved({key: plain[key] for key in plain if key not in OF_THE_RUN})
    kept["paths"] = {"data": DATA}
    return OmegaConf.to_yaml(OmegaConf.create(kept))
