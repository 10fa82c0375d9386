"""ONNX graphs give PyTorch's numbers."""

from pathlib import Path

import pytest
import torch

import aestyle
from tests.helpers import FAST, answer

runtime = pytest.importorskip("onnxruntime", reason="needs pip install 'aestyle[export]'")
pytest.importorskip("onnxscript", reason="needs pip install 'aestyle[export]'")


def evaluate(path: Path, inputs: torch.Tensor) -> torch.Tensor:
    session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (given,), (result,) = session.get_inputs(), session.get_outputs()
    assert [given.name, result.name] in (["code", "image"], ["image", "code"])
    assert given.shape == list(inputs.shape)
    return torch.from_numpy(session.run(None, {given.name: inputs.numpy()})[0])


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("onnx") / "run"
    assert answer("train", *FAST, "method=joint_ae", f"run_dir={folder}").code == 0
    return folder


@pytest.mark.slow
def test_encoder_and_decoder(run: Path, tmp_path: Path) -> None:
    done = answer("convert", f"input={run}", f"output={tmp_path / 'some' / 'faces.onnx'}", "batch_size=3")
    assert done.code == 0, done
    assert done.out.count("largest difference from PyTorch") == 2
    assert sorted(path.name for path in (tmp_path / "some").iterdir()) == ["faces_decoder.onnx", "faces_encoder.onnx"]
    model = aestyle.load(run)
    x = torch.rand(3, model.channels, 8, 8) * 2 - 1
    codes = model.encode(x)
    torch.testing.assert_close(evaluate(tmp_path / "some" / "faces_encoder.onnx", x), codes, rtol=0, atol=1e-4)
    images = evaluate(tmp_path / "some" / "faces_decoder.onnx", codes)
    torch.testing.assert_close(images, model.decode(codes), rtol=0, atol=1e-4)


@pytest.mark.slow
def test_from_the_prior(run: Path, tmp_path: Path) -> None:
    """The mapping network is part of a decoder of z; the model that is exported stays as it was."""
    model = aestyle.load(run)
    z = model.prior(2, seed=7)
    before = model.decode(z, "z")
    assert answer("convert", f"input={run}", f"output={tmp_path / 'z.onnx'}", "batch_size=2", "space=z").code == 0
    torch.testing.assert_close(evaluate(tmp_path / "z_decoder.onnx", z), before, rtol=0, atol=1e-4)
    assert torch.equal(model.decode(z, "z"), before)


def test_bad_options(run: Path, tmp_path: Path) -> None:
    options = [f"input={run}", f"output={tmp_path / 'x.onnx'}"]
    assert "space=wx: this model has the spaces z, w, w_plus" in answer("convert", *options, "space=wx").line
    for wrong in ("0", "2.5", "two"):
        assert f"batch_size={wrong}: give a whole number" in answer("convert", *options, f"batch_size={wrong}").line
    assert "no such run folder" in answer("convert", "input=nowhere", options[1]).line
    assert not list(tmp_path.iterdir())
