"""Translates state dicts of the reference implementations into this suite's names.

Understood are the StyleGAN2 layouts of rosinality/stylegan2-pytorch and of AE-StyleGAN's own code (phymhan's fork of
it), which differ in the index of the discriminator's linear layers only, and that of NVIDIA's stylegan2-ada-pytorch and
stylegan3. Filter kernels are constants here and dropped, and so is NVIDIA's running mean of styles.
"""

import math
import re
from collections.abc import Mapping

from torch import Tensor

State = dict[str, Tensor]

_GENERATOR: list[tuple[str, str]] = [
    (r"style\.(?P<i>\d+)\.(?P<p>weight|bias)", "mapping.layers.{i-1}.{p}"),
    (r"input\.input", "synthesis.const"),
    (r"conv1\.(?P<rest>.+)", "synthesis.convs.0.{rest}"),
    (r"convs\.(?P<i>\d+)\.(?P<rest>.+)", "synthesis.convs.{i+1}.{rest}"),
    (r"to_rgb1\.(?P<rest>.+)", "synthesis.to_rgbs.0.{rest}"),
    (r"to_rgbs\.(?P<i>\d+)\.(?P<rest>.+)", "synthesis.to_rgbs.{i+1}.{rest}"),
    (r"noises\.noise_(?P<i>\d+)", "synthesis.noise_const_{i}"),
]
_DISCRIMINATOR: list[tuple[str, str]] = [
    (r"convs\.0\.0\.weight", "trunk.0.weight"),
    (r"convs\.0\.1\.bias", "trunk.0.bias"),
    (r"convs\.(?P<i>\d+)\.(?P<conv>conv1|conv2|skip)\.\d\.(?P<p>weight|bias)", "trunk.{i}.{conv}.{p}"),
    (r"final_conv\.\d\.(?P<p>weight|bias)", "conv.{p}"),
]


def _rename(key: str, rules: list[tuple[str, str]]) -> str:
    for pattern, target in rules:
        if match := re.fullmatch(pattern, key):
            parts: dict[str, str] = match.groupdict()
            index = int(parts.get("i", 0))
            for name, value in {"i-1": index - 1, "i+1": index + 1, **parts}.items():
                target = target.replace("{" + name + "}", str(value))
            return target
    raise KeyError(f"the key {key!r} belongs to no known StyleGAN2 layout")


def _styled(key: str, value: Tensor) -> tuple[str, Tensor]:
    """Names and shapes inside a styled convolution or a ToRGB layer of the reference."""
    is_rgb = ".to_rgbs." in key
    key = key.replace(".conv.modulation.", ".affine." if is_rgb else ".conv.affine.")
    key = key.replace(".activate.bias", ".bias").replace(".noise.weight", ".noise_strength")
    if is_rgb:
        key = key.replace(".conv.weight", ".weight")
    if value.ndim == 5:  # (1, out, in, k, k)
        value = value[0]
    elif key.endswith(".noise_strength") or (is_rgb and key.endswith(".bias") and value.ndim == 4):
        value = value.reshape(()) if key.endswith(".noise_strength") else value.flatten()
    return key, value


def generator_from_rosinality(state: Mapping[str, Tensor]) -> tuple[State, State]:
    """Splits a reference generator into the states of ``Mapping`` and ``Synthesis``.

    Args:
        state: the reference's ``g`` or ``g_ema`` state dict.

    Returns:
        State dicts of the mapping and of the synthesis network.

    Raises:
        KeyError: a key belongs to no known layout.
    """
    parts: dict[str, State] = {"mapping": {}, "synthesis": {}}
    for key, value in state.items():
        if not key.endswith(".kernel"):
            name, value = _styled(_rename(key, _GENERATOR), value)
            part, _, rest = name.partition(".")
            parts[part][rest] = value
    return parts["mapping"], parts["synthesis"]


def discriminator_from_rosinality(state: Mapping[str, Tensor]) -> State:
    """Renames a reference discriminator (``d``) or AE-StyleGAN encoder (``e``).

    Args:
        state: the reference's state dict; its two linear layers may have any index.

    Returns:
        State dict of ``Discriminator`` or ``Encoder``.

    Raises:
        KeyError: a key belongs to no known layout.
    """
    linear = sorted({key.split(".")[1] for key in state if key.startswith("final_linear.")}, key=int)
    if len(linear) != 2:
        raise KeyError(f"expected two final_linear layers (head 'lin2'), found {len(linear)}")
    names = dict(zip(linear, ("hidden", "head"), strict=True))
    renamed: State = {}
    for key, value in state.items():
        if key.startswith("final_linear."):
            _, index, parameter = key.split(".")
            renamed[f"{names[index]}.{parameter}"] = value
        elif not key.endswith(".kernel"):
            renamed[_rename(key, _DISCRIMINATOR)] = value
    return renamed


def generator_from_nvidia(state: Mapping[str, Tensor]) -> tuple[State, State]:
    """Splits NVIDIA's generator, without classes, into the states of ``Mapping`` and ``Synthesis``.

    Args:
        state: the reference's ``G`` or ``G_ema`` state dict.

    Returns:
        State dicts of the mapping and of the synthesis network.

    Raises:
        KeyError: a key belongs to no known layout.
    """
    mapping: State = {}
    synthesis: State = {}
    for key, value in _without(state, "resample_filter", "w_avg"):
        if match := re.fullmatch(r"mapping\.fc(\d+)\.(weight|bias)", key):
            mapping[f"layers.{match[1]}.{match[2]}"] = value
        elif key == "synthesis.b4.const":
            synthesis["const"] = value[None]
        elif match := re.fullmatch(r"synthesis\.b(\d+)\.torgb\.(.+)", key):
            synthesis[f"to_rgbs.{_level(match[1])}.{match[2]}"] = value
        elif match := re.fullmatch(r"synthesis\.b(\d+)\.conv([01])\.(.+)", key):
            index, rest = 2 * _level(match[1]) - 1 + int(match[2]), match[3]
            if rest == "noise_const":
                synthesis[f"noise_const_{index}"] = value[None, None]
            else:
                inner = "conv." if rest == "weight" or rest.startswith("affine.") else ""
                synthesis[f"convs.{index}.{inner}{rest}"] = value
        else:
            raise KeyError(f"the key {key!r} belongs to no known StyleGAN2 layout")
    return mapping, synthesis


def discriminator_from_nvidia(state: Mapping[str, Tensor]) -> State:
    """Renames NVIDIA's residual discriminator without classes.

    Args:
        state: the reference's ``D`` state dict.

    Returns:
        State dict of ``Discriminator``.

    Raises:
        KeyError: a key belongs to no known layout.
    """
    ends = {"conv": "conv", "fc": "hidden", "out": "head"}
    blocks = {"conv0": "conv1", "conv1": "conv2", "skip": "skip"}
    top = max((_level(match[1]) for key in state if (match := re.match(r"b(\d+)\.", key))), default=0)
    renamed: State = {}
    for key, value in _without(state, "resample_filter"):
        match = re.fullmatch(r"b(\d+)\.(\w+)\.(weight|bias)", key)
        level, layer, parameter = (_level(match[1]), match[2], match[3]) if match else (-1, "", "")
        if level == 0 and layer in ends:
            renamed[f"{ends[layer]}.{parameter}"] = value
        elif level == top and layer == "fromrgb":
            renamed[f"trunk.0.{parameter}"] = value
        elif level > 0 and layer in blocks:
            renamed[f"trunk.{top - level + 1}.{blocks[layer]}.{parameter}"] = value
        else:
            raise KeyError(f"the key {key!r} belongs to no known StyleGAN2 layout")
    return renamed


def _without(state: Mapping[str, Tensor], *names: str) -> list[tuple[str, Tensor]]:
    return [(key, value) for key, value in state.items() if key.rpartition(".")[2] not in names]


def _level(resolution: str) -> int:
    """0 at 4 px, 1 at 8 px, ..."""
    return int(math.log2(int(resolution))) - 2


def generator_shape(state: Mapping[str, Tensor]) -> dict[str, object]:
    """Reads the size of a translated synthesis network off its tensors.

    Args:
        state: state dict of ``Synthesis``.

    Returns:
        The arguments ``resolution``, ``style_dim``, ``channels``, ``image_channels`` and ``noise`` of ``Synthesis``.
    """
    num_rgb = sum(bool(re.fullmatch(r"to_rgbs\.\d+\.weight", key)) for key in state)
    channels = {4 * 2**i: state[f"to_rgbs.{i}.weight"].shape[1] for i in range(num_rgb)}
    return {
        "resolution": max(channels),
        "style_dim": state["convs.0.conv.affine.weight"].shape[1],
        "channels": channels,
        "image_channels": state["to_rgbs.0.weight"].shape[0],
        "noise": "convs.0.noise_strength" in state,
    }


def style_dim_codes(state: Mapping[str, Tensor], style_dim: int) -> int:
    """Number of styles that a translated encoder predicts: 1 for W, the number of layers for W+."""
    return int(state["head.weight"].shape[0] // style_dim)
