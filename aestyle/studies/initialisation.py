"""Starting from another run's weights, and keeping parts of a model as they are."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from omegaconf import DictConfig, OmegaConf
from torch import Tensor, nn

from aestyle.engine.checkpoint import read_checkpoint
from aestyle.engine.module import PhasedModule
from aestyle.errors import UserError
from aestyle.studies.loading import find_checkpoint

State = dict[str, Tensor]

SHAPING = (
    "resolution",
    "dataset.channels",
    "scale.channels",
    "scale.style_dim",
    "scale.mapping_depth",
    "scale.latent_dim",
    "method.decoder.mapping_depth",
)
"""Options that the shapes of networks follow from."""


def freeze(method: PhasedModule, prefixes: Sequence[str]) -> None:
    """Keeps parts of a method as they are; to be called before its optimizers are made, also on resuming.

    Parameters lose ``requires_grad``, and networks without any trainable parameter are put into eval mode, so that
    running statistics stay too.

    Args:
        method: the method; what its class calls ``frozen`` is frozen as well.
        prefixes: networks, or beginnings of parameter names that end at a dot (``discriminator.trunk.0``: freeze-D).

    Raises:
        UserError: nothing is called so, or nothing would be left to train.
    """
    named = {f"{name}.{key}": p for name, network in method.networks.items() for key, p in network.named_parameters()}
    for prefix in (*method.frozen, *prefixes):
        found = [p for name, p in named.items() if f"{name}.".startswith(f"{prefix}.")]
        if not found:
            raise UserError(
                f"freeze=[{prefix}]: no parameter is called so; give a network ({', '.join(method.networks)}) or the "
                "beginning of a parameter's name up to a dot, such as discriminator.trunk.0"
            )
        for p in found:
            p.requires_grad_(False)
    if not any(p.requires_grad for phase in method.phases() for p in _parameters(method, phase.networks)):
        raise UserError(f"freeze=[{','.join(prefixes)}] leaves nothing to train; leave one network out of it")
    for network in method.networks.values():
        if _is_frozen(network):
            network.eval()


def initialise(method: PhasedModule, cfg: DictConfig) -> None:
    """Starts a new run with the weights of another one, as ``init_from`` and ``init_networks`` say.

    Networks take trained weights, averaged networks averaged ones. A network that is frozen altogether takes the
    averaged ones for both: what is trained on top of it then sees what will be used in the end.

    Args:
        method: the method; already frozen as it will be.
        cfg: composed from ``conf/train.yaml``.

    Raises:
        UserError: there is no such checkpoint, a network is not in it or of another shape, or the method needs one.
    """
    if cfg.init_from is None:
        if method.needs_init:
            raise UserError(
                f"method={method.name} needs a trained generator: give init_from=<run folder or checkpoint>"
            )
        return
    path = find_checkpoint(Path(str(cfg.init_from)))
    checkpoint = read_checkpoint(path)
    states: State = checkpoint["state_dict"]
    for name in _choose(method, states, cfg.init_networks, path):
        network, trained = method.networks[name], _part(states, name)
        _refuse_misfit(name, network, trained, path, _differences(checkpoint["aestyle"].get("config", ""), cfg))
        averaged = _part(states, f"ema.{name}") or trained
        network.load_state_dict(averaged if _is_frozen(network) else trained)
        if name in method.ema:
            method.ema[name].load_state_dict(averaged)


def _choose(method: PhasedModule, states: State, asked: Sequence[str] | None, path: Path) -> list[str]:
    """Names of the networks to load."""
    there = [name for name in dict.fromkeys(key.split(".")[0] for key in states if "." in key) if name != "ema"]
    for name in asked or []:
        if name not in method.networks:
            raise UserError(f"init_networks: {method.name} has no {name}; choose from {', '.join(method.networks)}")
        if name not in there:
            raise UserError(f"init_networks: {path} has no {name}; choose from {', '.join(there)}")
    chosen = [name for name in method.networks if name in (there if asked is None else asked)]
    lacking = [name for name in method.frozen if name not in chosen] if method.needs_init else []
    if lacking or not chosen:
        needed = " and ".join(lacking) if lacking else f"any of {', '.join(method.networks)}"
        raise UserError(
            f"method={method.name} needs a trained {needed}, of which init_from={path} gives none; choose another run, "
            "and leave init_networks out or name them there"
        )
    return chosen


def _refuse_misfit(name: str, network: nn.Module, state: State, path: Path, differences: str) -> None:
    """Raises UserError: names the first tensor that has another shape, and the options that may be the reason."""
    here = {key: tuple(value.shape) for key, value in network.state_dict().items()}
    there = {key: tuple(value.shape) for key, value in state.items()}
    for key in [*here, *there]:
        if here.get(key) != there.get(key):
            raise UserError(
                f"init_from={path}: {name}.{key} has shape {there.get(key, '(none)')} there and "
                f"{here.get(key, '(none)')} here; {differences}, or leave {name} out with init_networks=[...]"
            )


def _differences(config: str, cfg: DictConfig) -> str:
    """The options that give networks another shape than in the run of this configuration, as advice."""
    other = OmegaConf.create(config or "{}")
    found = []
    for name in SHAPING:
        there, here = OmegaConf.select(other, name), OmegaConf.select(cfg, name)
        if there is not None and there != here:
            found.append(f"{name}={there} (here {here})")
    return f"give {' '.join(found)}" if found else "give method.* options as there"


def _part(states: Mapping[str, Tensor], prefix: str) -> State:
    return {key.removeprefix(f"{prefix}."): value for key, value in states.items() if key.startswith(f"{prefix}.")}


def _parameters(method: PhasedModule, networks: Sequence[str]) -> list[nn.Parameter]:
    return [p for name in networks for p in method.networks[name].parameters()]


def _is_frozen(network: nn.Module) -> bool:
    return not any(p.requires_grad for p in network.parameters())
