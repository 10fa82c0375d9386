import copy
import pickle
from pathlib import Path

import lpips
import pytest
import torch
from torch import Tensor, nn

from aestyle.errors import UserError
from aestyle.metrics.lpips import LPIPS
from aestyle.metrics.vgg import VGG16Perceptual
from tests.metrics.layouts import write_torchvision


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("weights")


@pytest.fixture(scope="module")
def nets(folder: Path) -> dict[str, nn.Module]:
    """Random networks whose files lie in ``folder``."""
    made = {name: write_torchvision(folder / f"{name}.pth", name) for name in ("vgg16", "alexnet")}
    caffe = {f"layer{key}": value for key, value in made["vgg16"].state_dict().items()}
    torch.save(caffe, folder / "caffe.pth")
    return made


def images(*shape: int) -> Tensor:
    return torch.rand(shape) * 2 - 1


def test_caffe_features_follow_the_reference_step_by_step(folder: Path, nets) -> None:
    x, y = images(2, 3, 16, 16), images(2, 3, 16, 16)

    def features(x: Tensor) -> Tensor:
        red, green, blue = ((x + 1) * 127.5).unbind(1)
        x = torch.stack([blue - 103.939, green - 116.779, red - 123.68], dim=1)
        for layer in nets["vgg16"][:23]:
            x = layer(x)
        return x

    assert features(x).shape == (2, 512, 2, 2)
    expected = (features(x) - features(y)).square().mean()
    torch.testing.assert_close(VGG16Perceptual("caffe", str(folder / "caffe.pth"))(x, y), expected, rtol=1e-4, atol=0)


def test_torchvision_features_follow_its_own_preprocessing(folder: Path, nets) -> None:
    from torchvision.models import VGG16_Weights

    preset = VGG16_Weights.IMAGENET1K_V1.transforms(crop_size=16, resize_size=16)
    x, y = images(2, 3, 16, 16), images(2, 3, 16, 16)
    f, g = (nets["vgg16"][:23](preset((picture + 1) / 2)) for picture in (x, y))
    actual = VGG16Perceptual("torchvision", str(folder / "vgg16.pth"))(x, y)
    torch.testing.assert_close(actual, (f - g).square().mean(), rtol=1e-4, atol=0)


@pytest.mark.parametrize("convention", ["caffe", "torchvision"])
def test_vgg_of_equal_images_is_zero_and_grey_counts_as_rgb(folder: Path, nets, convention: str) -> None:
    loss = VGG16Perceptual(convention, str(folder / ("caffe.pth" if convention == "caffe" else "vgg16.pth")))
    x, y = images(1, 1, 16, 16), images(1, 1, 16, 16).requires_grad_()
    assert loss(x, x) == 0
    value = loss(x, y)
    torch.testing.assert_close(value, loss(x.repeat(1, 3, 1, 1), y.repeat(1, 3, 1, 1)))
    value.backward()
    assert y.grad.isfinite().all()
    assert y.grad.abs().sum() > 0


def test_networks_stay_outside_and_are_built_without_drawing(folder: Path, nets) -> None:
    owner, state = nn.Linear(2, 2), torch.get_rng_state()
    owner.perceptual = VGG16Perceptual("caffe", str(folder / "caffe.pth"))
    owner.perceptual(torch.zeros(1, 3, 8, 8), torch.ones(1, 3, 8, 8))
    assert set(owner.state_dict()) == {"weight", "bias"}
    assert len(pickle.dumps(owner.perceptual)) < 1000
    assert torch.equal(torch.get_rng_state(), state)


def test_conventions_and_nets_are_named() -> None:
    with pytest.raises(UserError, match="convention=keras: choose one of caffe, torchvision"):
        VGG16Perceptual("keras")
    with pytest.raises(UserError, match="net=squeeze: choose one of alex, vgg"):
        LPIPS("squeeze")


def test_the_weights_of_another_network_are_refused(folder: Path, nets) -> None:
    with pytest.raises(UserError, match=r"alexnet\.pth: these are not the weights of VGG16") as error:
        VGG16Perceptual("torchvision", str(folder / "alexnet.pth"))(images(1, 3, 8, 8), images(1, 3, 8, 8))
    assert "\n" not in str(error.value)


def test_a_missing_backbone_names_the_offline_loss(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.delenv("AESTYLE_WEIGHTS", raising=False)
    with pytest.raises(UserError, match=r"vgg16\.pth .*genforce/idinvert_pytorch.*method/perceptual=efflite0"):
        VGG16Perceptual()(images(1, 3, 8, 8), images(1, 3, 8, 8))


@pytest.mark.parametrize(("net", "file", "size"), [("alex", "alexnet.pth", 64), ("vgg", "vgg16.pth", 32)])
def test_lpips_equals_the_package(folder: Path, nets, net: str, file: str, size: int) -> None:
    x, y = images(3, 3, size, size), images(3, 3, size, size)
    theirs = reference(net, nets[file.removesuffix(".pth")])
    torch.testing.assert_close(LPIPS(net, str(folder / file))(x, y), theirs(x, y).flatten(), rtol=1e-4, atol=1e-6)


def reference(net: str, features: nn.Module) -> nn.Module:
    """The lpips package around this backbone."""
    with torch.random.fork_rng(), pytest.MonkeyPatch.context() as patch:
        for name in ("alexnet", "vgg16"):  # it would draw the weights of classifiers that it does not use
            holder = nn.Module()
            holder.features = copy.deepcopy(features)
            patch.setattr(f"torchvision.models.{name}", lambda holder=holder, **_: holder)
        return lpips.LPIPS(net=net, pnet_rand=True, verbose=False)


@pytest.mark.parametrize("x", [images(2, 3, 64, 64), torch.zeros(1, 1, 64, 64), -torch.ones(1, 3, 64, 64)])
def test_lpips_of_equal_images_has_gradient_zero(folder: Path, nets, x: Tensor) -> None:
    y = x.clone().requires_grad_()
    distance = LPIPS("alex", str(folder / "alexnet.pth"))(x, y)
    distance.sum().backward()
    assert torch.equal(distance, torch.zeros(len(x)))
    assert torch.equal(y.grad, torch.zeros_like(x))


def test_lpips_has_a_finite_gradient_where_all_features_are_dead(folder: Path, nets) -> None:
    dead = {f"features.{name}": torch.zeros_like(value) for name, value in nets["alexnet"].state_dict().items()}
    torch.save(dead, folder / "dead.pth")
    y = images(1, 3, 64, 64).requires_grad_()
    LPIPS("alex", str(folder / "dead.pth"))(images(1, 3, 64, 64), y).sum().backward()
    assert y.grad.isfinite().all()
