"""The two published Inception networks: the one of FID, KID and IS, and torchvision's."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from typing import Any, ClassVar

import torch
import torchvision
from torch import Tensor, nn
from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3, FeatureExtractorInceptionV3

from aestyle.data.transforms import to_uint8
from aestyle.errors import UserError
from aestyle.metrics.backbones import resize_bilinear, to_rgb
from aestyle.metrics.weights import Published, Weights, load_weights

FID_INCEPTION = Published(
    network="FID's Inception",
    project="torch-fidelity and pytorch-fid",
    files=("weights-inception-2015-12-05-6726825d.pth", "pt_inception-2015-12-05-6726825d.pth"),
    twin="fd_efflite0*, kd_efflite0* or score_efflite0*",
    url=URL_INCEPTION_V3,
)
TORCHVISION_INCEPTION = Published(
    network="torchvision's Inception v3",
    project="torchvision",
    files=("inception_v3_google-0cc3c7bd.pth",),
    twin="fd_efflite0* or score_efflite0*",
    url=torchvision.models.Inception_V3_Weights.IMAGENET1K_V1.url,
)


@dataclass(frozen=True)
class _Inception(ABC):
    """What both networks share: pooled features or logits, of weights that are looked for on first use.

    Args:
        output: ``pool`` or ``logits``.
        weights: A file of weights; None looks in the usual folders.
        download: Whether missing weights may be fetched.

    Raises:
        UserError: There is no such output; on first use: the weights are missing or damaged.
    """

    published: ClassVar[Published]
    title: ClassVar[str]
    """How result files call the network."""
    resize: ClassVar[str]
    """How result files call the resize filter."""
    outputs: ClassVar[dict[str, int]]
    """What can be asked for, with its length."""

    output: str = "pool"
    weights: str | None = None
    download: bool = False

    def __post_init__(self) -> None:
        if self.output not in self.outputs:
            raise UserError(f"extractor.output={self.output}: choose one of {', '.join(self.outputs)}")

    @property
    def name(self) -> str:
        """How result files call it; says so if the weights are not the published ones."""
        label = _load(self.published, self.weights, self.download).label
        return f"{self.title}/{self.output}{label}"

    @property
    def num_features(self) -> int:
        """Length of a feature vector."""
        return self.outputs[self.output]

    def __call__(self, x: Tensor) -> Tensor:
        """Images (N, C, H, W) in [-1, 1] to features (N, num_features)."""
        pooled, logits = self._features(to_rgb(x))
        return pooled if self.output == "pool" else logits

    @abstractmethod
    def _features(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Images (N, 3, H, W) in [-1, 1] to pooled features and logits."""


class FidInception(_Inception):
    """The network of the published FID, KID and IS (TensorFlow's of 2015-12-05), through torch-fidelity.

    Takes 8-bit pictures to 299 x 299 as TensorFlow 1 does. ``pool`` is 2048 numbers (FID, KID); ``logits`` is 1008
    (IS), and leaves out the bias, as the published IS does.
    """

    published = FID_INCEPTION
    title = "inception-2015-12-05"
    resize = "bilinear as TensorFlow 1, 299 px"
    outputs: ClassVar = {"pool": 2048, "logits": 1008}

    def _features(self, x: Tensor) -> tuple[Tensor, Tensor]:
        pooled, logits = _fid_inception(self.weights, self.download, x.device)(to_uint8(x))
        return pooled, logits


class TorchvisionInception(_Inception):
    """torchvision's Inception v3 as IAAE uses it: no ImageNet normalisation, and not the network of FID.

    ``pool`` is 2048 numbers, ``logits`` is 1000.
    """

    published = TORCHVISION_INCEPTION
    title = "torchvision-inception_v3"
    resize = "bilinear, 299 px"
    outputs: ClassVar = {"pool": 2048, "logits": 1000}

    def _features(self, x: Tensor) -> tuple[Tensor, Tensor]:
        trunk, head = _torchvision_inception(self.weights, self.download, x.device)
        pooled = trunk(resize_bilinear(x, 299))
        return pooled, head(pooled)


class _FidNetwork(FeatureExtractorInceptionV3):
    """torch-fidelity's network without its loading, which would unpickle anything."""

    def __init__(self) -> None:
        nothing = BytesIO()
        torch.save({}, nothing)
        nothing.seek(0)
        super().__init__("inception-v3-compat", ["2048", "logits_unbiased"], nothing)

    def load_state_dict(self, state_dict: dict[str, Tensor], *args: Any, **kwargs: Any) -> Any:
        """Passes over the constructor's empty table."""
        return super().load_state_dict(state_dict, *args, **kwargs) if state_dict else None


@cache
def _load(published: Published, weights: str | None, download: bool) -> Weights:
    return load_weights(published, weights, download)


@cache
def _fid_inception(weights: str | None, download: bool, device: torch.device) -> nn.Module:
    found = _load(FID_INCEPTION, weights, download)
    with torch.device("meta"):  # draws no initial weights
        network = _FidNetwork()
    found.fill(network, found.tensors)
    return network.to(device)


@cache
def _torchvision_inception(weights: str | None, download: bool, device: torch.device) -> tuple[nn.Module, nn.Module]:
    found = _load(TORCHVISION_INCEPTION, weights, download)
    with torch.device("meta"):
        network = torchvision.models.inception_v3(weights=None, aux_logits=False, init_weights=False)
    found.fill(network, {key: value for key, value in found.tensors.items() if not key.startswith("AuxLogits.")})
    head, network.fc = network.fc, nn.Identity()
    return network.to(device), head.to(device)
