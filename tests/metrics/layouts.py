"""Random weights in the layouts of the published files."""

from pathlib import Path

import torch
import torchvision
from torch import Tensor, nn


def write_torchvision(path: Path, name: str) -> nn.Module:
    """The convolutional layers of VGG16 or AlexNet, as torchvision's file names them; returns them."""
    with torch.device("meta"):
        features = getattr(torchvision.models, name)(weights=None).features
    features.to_empty(device="cpu")
    for parameter in features.parameters():
        randomise(parameter)
    state = {f"features.{key}": value for key, value in features.state_dict().items()}
    torch.save({**state, "classifier.0.weight": torch.zeros(1)}, path)
    return features.eval().requires_grad_(False)


def randomise(parameter: Tensor) -> None:
    """He initialisation, which keeps the scale of random features; small biases."""
    fan_in = parameter[0].numel()
    nn.init.normal_(parameter, std=(2 / fan_in) ** 0.5 if parameter.ndim > 1 else 0.05)


def write_inception(path: Path, network: nn.Module) -> nn.Module:
    """Random weights for an Inception that was built on the meta device; returns it filled."""
    network.to_empty(device="cpu")
    for name, tensor in network.state_dict().items():
        if name.endswith(("bn.weight", "running_var")):
            tensor.fill_(1)
        elif name.endswith(("bn.bias", "running_mean", "num_batches_tracked")):
            tensor.zero_()
        else:
            randomise(tensor)
    torch.save(network.state_dict(), path)
    return network.eval().requires_grad_(False)
