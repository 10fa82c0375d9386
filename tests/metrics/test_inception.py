"""The published Inceptions, with random weights in their layouts."""

from pathlib import Path

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

from aestyle.errors import UserError
from aestyle.metrics import inception
from aestyle.metrics.frechet import SampleFrechetDistance
from aestyle.metrics.inception import FidInception, TorchvisionInception
from tests.metrics.layouts import write_inception


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("weights")


@pytest.fixture(scope="module")
def theirs(folder: Path) -> FeatureExtractorInceptionV3:
    """torch-fidelity's own extractor, loaded by its own code from the file that it is given."""
    with torch.device("meta"):
        network = inception._FidNetwork()
    write_inception(folder / "fid.pth", network)
    return FeatureExtractorInceptionV3("x", ["2048", "logits_unbiased"], str(folder / "fid.pth"))


@pytest.fixture(scope="module")
def torchvisions(folder: Path) -> nn.Module:
    with torch.device("meta"):
        network = torchvision.models.inception_v3(weights=None, init_weights=False)
    return write_inception(folder / "tv.pth", network)


def pictures(n: int) -> Tensor:
    return torch.randint(0, 256, (n, 3, 20, 20), dtype=torch.uint8)


def test_fid_features_equal_torch_fidelitys(folder: Path, theirs) -> None:
    x = pictures(2)
    pooled, logits = theirs(x)
    path = str(folder / "fid.pth")
    torch.testing.assert_close(FidInception("pool", path)(x / 127.5 - 1), pooled, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(FidInception("logits", path)(x / 127.5 - 1), logits, rtol=1e-4, atol=1e-4)
    assert pooled.shape[1] == FidInception("pool", path).num_features
    assert logits.shape[1] == FidInception("logits", path).num_features


def test_torchvision_features_are_its_own_without_normalisation(folder: Path, torchvisions) -> None:
    x = torch.rand(2, 1, 20, 20) * 2 - 1
    path = str(folder / "tv.pth")
    pooled, logits = TorchvisionInception("pool", path)(x), TorchvisionInception("logits", path)(x)
    resized = nn.functional.interpolate(x.repeat(1, 3, 1, 1), (299, 299), mode="bilinear", align_corners=False)
    torch.testing.assert_close(logits, torchvisions(resized), rtol=1e-4, atol=1e-4)
    assert (pooled.shape, logits.shape) == ((2, 2048), (2, 1000))


def test_names_say_which_weights(folder: Path, theirs, torchvisions) -> None:
    name = FidInception("pool", str(folder / "fid.pth")).name
    assert name.startswith("inception-2015-12-05/pool, weights ")
    assert TorchvisionInception("pool", str(folder / "tv.pth")).name.startswith(
        "torchvision-inception_v3/pool, weights "
    )


def test_one_network_does_not_pass_for_the_other(folder: Path, theirs, torchvisions) -> None:
    with pytest.raises(UserError, match=r"tv\.pth: these are not the weights of FID's Inception") as error:
        FidInception(weights=str(folder / "tv.pth"))(torch.zeros(1, 3, 8, 8))
    assert "\n" not in str(error.value)


def test_unknown_output() -> None:
    for extractor in (FidInception, TorchvisionInception):
        with pytest.raises(UserError, match=r"extractor\.output=2048: choose one of pool, logits"):
            extractor("2048")


def test_missing_weights_are_found_before_anything_is_measured(data, monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.delenv("AESTYLE_WEIGHTS", raising=False)
    with pytest.raises(UserError, match=r"inception-2015-12-05.*torch-fidelity.*download=true.*fd_efflite0"):
        SampleFrechetDistance(name="fid", num_images=20, extractor=FidInception()).check(data)
