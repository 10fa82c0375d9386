"""Checkpoints of the reference implementations as run folders of this suite."""

import argparse
import pickle
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from textwrap import shorten
from typing import Any

import torch
from hydra import compose
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from aestyle.engine.checkpoint import LAST, SafeCheckpointIO
from aestyle.engine.module import PhasedModule
from aestyle.engine.slim import is_slim, write_slim
from aestyle.errors import UserError
from aestyle.nets.foreign import (
    State,
    discriminator_from_nvidia,
    discriminator_from_rosinality,
    generator_from_nvidia,
    generator_from_rosinality,
    generator_shape,
    style_dim_codes,
)
from aestyle.nets.generator import num_layers
from aestyle.protocol import LatentModel
from aestyle.studies.export import portable
from aestyle.studies.nvidia import read_network_pickle
from aestyle.studies.parity import compare, self_check
from aestyle.studies.training import CONFIG, run_config

BATCH_SIZE = 16
"""Default batch size of both reference codes, for files that do not tell theirs."""

READ = frozenset({"g", "g_ema", "d", "e", "e_ema"})
NVIDIA = {"G": "g", "G_ema": "g_ema", "D": "d"}
"""Their names for what the other codes call so."""


FILES = (".pt", ".pth", ".pkl")
"""Endings of what the reference codes write."""


def convert(
    source: Path,
    output: Path,
    dataset_path: str | None = None,
    reference: Path | None = None,
    tolerance: float = 0.01,
) -> list[str]:
    """Writes a run folder, or a model for use alone, that holds the networks of a reference checkpoint.

    Hydra must have been initialised with the folder ``conf``, as it is inside a command.

    The method is ``joint_ae`` if the file holds an encoder, else ``stylegan2``. The averaged networks come from
    ``g_ema`` and ``e_ema`` (or from ``g`` and ``e``), the trained ones from ``g`` and ``e`` (or from the averaged).

    Args:
        source: checkpoint of rosinality/stylegan2-pytorch or of AE-StyleGAN's own code, network pickle of NVIDIA's
            stylegan2-ada-pytorch or stylegan3 (StyleGAN2 without classes), or its state dicts under G, G_ema, D.
        output: the run folder, which must not exist, or be empty; or a ``.safetensors`` file, which is replaced: the
            averaged networks, unrounded.
        dataset_path: folder of pictures that the run is about; None leaves it open.
        reference: pictures of the reference code to compare with; see :func:`aestyle.studies.parity.compare`.
        tolerance: the largest difference of a pixel in [-1, 1] that the comparison takes.

    Returns:
        What was found, line by line.

    Raises:
        UserError: the file cannot be read or is of another kind, its pictures are not those of ``reference``, or the
            folder is not empty; nothing is written then.
    """
    alone = is_slim(output)
    if not alone and output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise UserError(f"output={output} exists already: choose another folder, or empty it")
    checkpoint = read_foreign(source)
    with _unknown_layout(source):
        states = translate(checkpoint)
        cfg = matching_config(states, output, dataset_path, checkpoint.get("stddev_group", 4))
    method = fitted(cfg, states, source)
    assert isinstance(method, LatentModel)
    seen = compare(method, reference, tolerance) if reference else self_check(method)
    method.batches_seen, batch_size = progress_of(checkpoint, source)
    method.images_seen = method.batches_seen * batch_size
    method.config_yaml = run_config(cfg)
    saved: dict[str, Any] = {"state_dict": method.state_dict()}
    method.on_save_checkpoint(saved)
    if alone:
        config = portable(OmegaConf.create(method.config_yaml))  # type: ignore[arg-type]
        write_slim(output, saved, config, torch.float32)
    else:
        SafeCheckpointIO().save_checkpoint(saved, output / "checkpoints" / LAST)
        (output / CONFIG).write_text(method.config_yaml, encoding="utf-8")
    return [
        f"{source}: {method.batches_seen} iterations of {batch_size} images",
        *_description(method, cfg),
        *_left_out(checkpoint),
        seen,
    ]


def read_foreign(path: Path) -> dict[str, Any]:
    """Reads a checkpoint of the reference codes without executing anything that it holds.

    Args:
        path: a network pickle of NVIDIA (``.pkl``), or a file written by ``torch.save``; beside plain data it may hold
            an ``argparse.Namespace``.

    Raises:
        UserError: it is missing, damaged or of another kind.
    """
    checkpoint = read_network_pickle(path) if path.suffix == ".pkl" else _read_saved(path)
    if isinstance(checkpoint, dict):
        checkpoint = {NVIDIA.get(name, name): value for name, value in checkpoint.items()}
    names = [name for name in ("g", "g_ema") if name in checkpoint] if isinstance(checkpoint, dict) else []
    if not names or not all(_is_state(checkpoint[name]) for name in READ & checkpoint.keys()):
        raise UserError(
            f"{path}: holds no networks under g, g_ema, d, e; give a checkpoint of rosinality/stylegan2-pytorch or "
            "AE-StyleGAN, or NVIDIA's G, G_ema, D (those of aestyle need no conversion)"
        )
    return checkpoint


def _read_saved(path: Path) -> Any:
    try:
        with torch.serialization.safe_globals([argparse.Namespace]), warnings.catch_warnings(action="ignore"):
            return torch.load(path, map_location="cpu", weights_only=True)
    except (FileNotFoundError, IsADirectoryError, PermissionError) as error:
        raise UserError(f"input={path}: {error.strerror}; give a checkpoint file") from error
    except pickle.UnpicklingError as error:
        raise UserError(
            f"{path}: refused, it is no torch checkpoint or holds more than tensors, plain values and an "
            "argparse.Namespace; give a .pt file of rosinality/stylegan2-pytorch or AE-StyleGAN"
        ) from error
    except Exception as error:  # a damaged file fails in as many ways as there are bytes
        raise UserError(f"{path}: truncated or damaged, or no torch checkpoint; get the file again") from error


def _is_state(value: Any) -> bool:
    return isinstance(value, Mapping) and all(isinstance(k, str) and isinstance(v, Tensor) for k, v in value.items())


def translate(checkpoint: Mapping[str, Any]) -> dict[str, State]:
    """State dicts under the names of the method's submodules, ``ema.synthesis`` among them.

    Args:
        checkpoint: what :func:`read_foreign` gave.

    Raises:
        KeyError: a tensor belongs to no known layout.
    """
    states: dict[str, State] = {}
    for prefix, names in {"": ("g", "g_ema"), "ema.": ("g_ema", "g")}.items():
        state = next(checkpoint[name] for name in names if name in checkpoint)
        states[f"{prefix}mapping"], states[f"{prefix}synthesis"] = _generator(state)
    for prefix, names in {"": ("e", "e_ema"), "ema.": ("e_ema", "e")}.items():
        for state in [checkpoint[name] for name in names if name in checkpoint][:1]:
            states[f"{prefix}encoder"] = discriminator_from_rosinality(state)
    if "d" in checkpoint:
        of_nvidia = any(key.startswith("b4.") for key in checkpoint["d"])
        states["discriminator"] = (discriminator_from_nvidia if of_nvidia else discriminator_from_rosinality)(
            checkpoint["d"]
        )
    return states


def _generator(state: State) -> tuple[State, State]:
    of_nvidia = any(key.startswith("synthesis.b4.") for key in state)
    return (generator_from_nvidia if of_nvidia else generator_from_rosinality)(state)


def matching_config(
    states: Mapping[str, State], output: Path, dataset_path: str | None = None, stddev_group: int = 4
) -> DictConfig:
    """The configuration of a training whose networks have the sizes of these state dicts.

    It is composed by Hydra, which must have been initialised.

    Args:
        states: what :func:`translate` gave.
        output: the run folder.
        dataset_path: folder of pictures; None leaves it open (``???``).
        stddev_group: samples in a group of the discriminator's minibatch standard deviation.

    Raises:
        KeyError: sizes that no StyleGAN2 has.
    """
    shape: dict[str, Any] = generator_shape(states["synthesis"])
    overrides = [
        "scale=paper",
        "dataset=folder",
        f"method={'joint_ae' if 'encoder' in states else 'stylegan2'}",
        f"resolution={shape['resolution']}",
        f"dataset.channels={shape['image_channels']}",
        f"scale.style_dim={shape['style_dim']}",
        f"scale.mapping_depth={len(states['mapping']) // 2}",
        f"method.synthesis.noise={shape['noise']}",
        f"method.discriminator.stddev_group={stddev_group}",
    ]
    if "encoder" in states:
        spaces = {1: "w", num_layers(shape["resolution"]): "w_plus"}
        codes = style_dim_codes(states["encoder"], shape["style_dim"])
        overrides += [f"method/encoder={spaces[codes]}", "method/weights=official"]
    cfg = compose("train", overrides)
    cfg.scale.channels = shape["channels"]
    cfg.run_dir = str(output)
    cfg.dataset.path = dataset_path or "???"
    cfg.dataset.source.path = cfg.dataset.path if dataset_path else "???"  # a reference to a missing value is an error
    return cfg


def fitted(cfg: DictConfig, states: Mapping[str, State], source: Path) -> PhasedModule:
    """The method of a configuration with these state dicts in it.

    Args:
        cfg: what :func:`matching_config` gave.
        states: what :func:`translate` gave.
        source: for messages: the file they came from.

    Raises:
        UserError: a network does not fit.
    """
    torch.manual_seed(cfg.seed)  # for a discriminator that the file does not hold
    method: PhasedModule = instantiate(cfg.method, _convert_="all")
    for name, state in states.items():
        try:
            method.get_submodule(name).load_state_dict(state)
        except RuntimeError as error:
            reason = shorten(str(error).splitlines()[1], 160)
            raise UserError(f"{source}: its {name} is none that aestyle builds ({reason})") from error
    return method


@contextmanager
def _unknown_layout(source: Path) -> Iterator[None]:
    try:
        yield
    except (KeyError, ValueError, IndexError, RuntimeError) as error:
        reason = error.args[0] if isinstance(error, KeyError) and isinstance(error.args[0], str) else "odd sizes"
        raise UserError(
            f"{source}: not a StyleGAN2 as rosinality/stylegan2-pytorch, AE-StyleGAN or NVIDIA build it ({reason}); "
            "other layouts cannot be converted"
        ) from error


def progress_of(checkpoint: Mapping[str, Any], source: Path) -> tuple[int, int]:
    """How long a reference model was trained: (iterations, images an iteration).

    Args:
        checkpoint: the file's content; ``iter`` counts, and ``args.batch`` tells the images an iteration on one GPU.
        source: its path: where there is no ``iter``, a name of digits (``550000.pt``) counts, or NVIDIA's name
            (``network-snapshot-025000.pkl``), which tells thousand images; otherwise 0.
    """
    if kimg := re.fullmatch(r"network-snapshot-(\d+)", source.stem):
        return int(kimg[1]) * 1000 // BATCH_SIZE, BATCH_SIZE
    iterations = checkpoint.get("iter", int(source.stem) if source.stem.isdecimal() else 0)
    batch_size = getattr(checkpoint.get("args"), "batch", BATCH_SIZE)
    known = isinstance(iterations, int) and isinstance(batch_size, int)
    return (iterations, batch_size) if known else (0, BATCH_SIZE)


def _description(method: PhasedModule, cfg: DictConfig) -> list[str]:
    encoder = f"encoder into {method.code_space}" if method.has_encoder else "no encoder"
    sizes = [f"{name} {sum(p.numel() for p in network.parameters()):,}" for name, network in method.networks.items()]
    return [
        f"{cfg.method.name}, {encoder}, {cfg.resolution} px, {cfg.dataset.channels} image channels, style_dim "
        f"{cfg.scale.style_dim}, mapping depth {cfg.scale.mapping_depth}, "
        f"{'with' if cfg.method.synthesis.noise else 'without'} noise",
        f"channels: {', '.join(f'{size}: {width}' for size, width in cfg.scale.channels.items())}",
        f"parameters: {', '.join(sizes)}",
    ]


def _left_out(checkpoint: Mapping[str, Any]) -> list[str]:
    lines = [] if "d" in checkpoint else ["d is not in the file: the discriminator is a new one"]
    if "d2" in checkpoint:
        lines.append("d2 (the second discriminator of decoupled AE-StyleGAN) is left out: joint_ae has one")
    for pair in (("g", "g_ema"), ("e", "e_ema")):
        there = [name for name in pair if name in checkpoint]
        if len(there) == 1:
            lines.append(f"only {there[0]} of {' and '.join(pair)} is in the file: it serves as both")
    return lines
