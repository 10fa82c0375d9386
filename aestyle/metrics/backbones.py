"""Networks of torchvision with published weights, cut off behind the last layer that is asked for."""

from __future__ import annotations

import re
from functools import cache

import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn

from aestyle.metrics.weights import Published, Weights, load_weights

VGG16 = Published(
    network="VGG16",
    project="torchvision",
    files=("vgg16-397923af.pth",),
    twin="EfficientNet-lite0 (method/perceptual=efflite0)",
    url=torchvision.models.VGG16_Weights.IMAGENET1K_V1.url,
)
VGG16_CAFFE = Published(
    network="VGG16 in Caffe's convention",
    project="genforce/idinvert_pytorch",
    files=("vgg16.pth",),
    twin="EfficientNet-lite0 (method/perceptual=efflite0)",
)
ALEXNET = Published(
    network="AlexNet",
    project="torchvision",
    files=("alexnet-owt-7be5be79.pth",),
    twin="EfficientNet-lite0 (aestyle.metrics.perceptual)",
    url=torchvision.models.AlexNet_Weights.IMAGENET1K_V1.url,
)
ARCHITECTURES = {VGG16: "vgg16", VGG16_CAFFE: "vgg16", ALEXNET: "alexnet"}

_LAYER = re.compile(r"(?:features\.|layer)(\d+\.(?:weight|bias))")


class Backbone(nn.Module):
    """The convolutional layers of VGG16 or AlexNet, frozen and in eval mode.

    On the ``meta`` device, where nothing is computed, they need no weights.

    Args:
        published: Which network with which weights.
        weights: A file of weights; None looks in the usual folders.
        download: Whether missing weights may be fetched.
        depth: How many of its layers to keep.
        device: Where they go.

    Raises:
        UserError: The weights are missing, damaged or of another network.
    """

    def __init__(
        self, published: Published, weights: str | None, download: bool, depth: int, device: torch.device
    ) -> None:
        super().__init__()
        found = None if device.type == "meta" else load_weights(published, weights, download)
        with torch.device("meta"):  # no initial weights are drawn: whoever trains must not notice
            self.layers: nn.Sequential = getattr(torchvision.models, ARCHITECTURES[published])(weights=None).features
        self.layers = self.layers[:depth]
        if found:
            found.fill(self.layers, _convolutions(found, depth))
        for layer in self.layers:
            if isinstance(layer, nn.ReLU):
                layer.inplace = False  # the map before it may be a tap

    def maps(self, x: Tensor, taps: tuple[int, ...]) -> list[Tensor]:
        """Outputs of some layers.

        Args:
            x: Images (N, 3, H, W), normalised as the weights ask for.
            taps: 0-based indices of layers, ascending.
        """
        found = []
        for index, layer in enumerate(self.layers):
            x = layer(x)
            if index in taps:
                found.append(x)
        return found


@cache
def backbone(published: Published, weights: str | None, download: bool, depth: int, device: torch.device) -> Backbone:
    """The network on ``device``, built once and shared by all who ask; it belongs in no checkpoint."""
    return Backbone(published, weights, download, depth, device).to(device)


def to_rgb(x: Tensor) -> Tensor:
    """Grey images (N, 1, H, W) as (N, 3, H, W); others as they are."""
    return x.expand(-1, 3, -1, -1) if x.shape[1] == 1 else x


def imagenet_normalise(x: Tensor) -> Tensor:
    """Images (N, C, H, W) in [-1, 1] to torchvision's input: three channels of mean 0 and deviation 1 on ImageNet."""
    mean, std = x.new_tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]]).view(2, 1, 3, 1, 1)
    return ((to_rgb(x) + 1) / 2 - mean) / std


def caffe_normalise(x: Tensor) -> Tensor:
    """Images (N, C, H, W) in [-1, 1] to Caffe's input: 0 to 255 in the order BGR, less ImageNet's mean colour."""
    mean = x.new_tensor([103.939, 116.779, 123.68]).view(1, 3, 1, 1)
    return (to_rgb(x).flip(1) + 1) * 127.5 - mean


def unit_length(maps: Tensor, eps: float) -> Tensor:
    """Feature maps (N, C, H, W) scaled to length 1 over the channels; ``eps`` keeps the gradient of 0 finite."""
    return maps * (maps.square().sum(dim=1, keepdim=True) + eps).rsqrt()


def resize_bilinear(x: Tensor, size: int) -> Tensor:
    """Images (N, C, H, W) to (N, C, size, size), bilinear without antialias (pixel centres, not corners, aligned)."""
    return F.interpolate(x, (size, size), mode="bilinear", align_corners=False, antialias=False)


def _convolutions(weights: Weights, depth: int) -> dict[str, Tensor]:
    """Tensors of the first layers as ``Backbone.layers`` names them, from either of the two published layouts."""
    named = ((_LAYER.fullmatch(name), tensor) for name, tensor in weights.tensors.items())
    layers = {match[1]: tensor for match, tensor in named if match}
    return {name: tensor for name, tensor in layers.items() if int(name.split(".")[0]) < depth}
