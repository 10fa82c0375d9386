"""Encoder and generator of a trained model as ONNX graphs, for programs without PyTorch."""

import warnings
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor, nn

from aestyle.errors import UserError
from aestyle.latents.spaces import find_space
from aestyle.protocol import LatentModel
from aestyle.studies.loading import load
from aestyle.studies.options import require_whole

NEEDED = ("onnx", "onnxscript", "onnxruntime")
LARGEST = 1e-3
"""Largest difference from PyTorch, relative to the largest number, that an exported graph may have."""


def export_onnx(ckpt: Path, output: Path, batch_size: int = 1, space: str | None = None) -> list[str]:
    """Writes ``<name>_decoder.onnx`` and, if the model has an encoder, ``<name>_encoder.onnx``, and runs both.

    They are ``decode`` and ``encode`` of :class:`~aestyle.protocol.Autoencoder` (averaged networks, constant noise) at
    a fixed number of images: the decoder turns ``code`` into ``image``, the encoder ``image`` into ``code``.

    Args:
        ckpt: run folder, checkpoint or name of a shipped model.
        output: ``<name>.onnx``; says where and how the files are called.
        batch_size: images that the graphs take at a time.
        space: of the decoder's codes; ``z`` includes the mapping network; None: that of the encoder.

    Returns:
        A line for each file, with its largest difference from PyTorch on random codes.

    Raises:
        UserError: ``aestyle[export]`` is not installed, there is no such model or space, or a graph gives other
            numbers.
    """
    if missing := [name for name in NEEDED if find_spec(name) is None]:
        raise UserError(f"output={output} needs {', '.join(missing)}: pip install 'aestyle[export]'")
    require_whole("batch_size", batch_size, 1)
    model = load(ckpt)
    assert isinstance(model, LatentModel)
    name = find_space(model, space)
    codes = _random_codes(model, name, batch_size)
    graphs: dict[str, tuple[Callable[[Tensor], Tensor], Tensor]] = {
        "decoder": (lambda code: model.decode(code, name), codes),
    }
    if model.has_encoder:
        graphs["encoder"] = (model.encode, model.decode(codes, name).clamp(-1, 1))
    output.parent.mkdir(parents=True, exist_ok=True)
    lines = []
    for part, (function, inputs) in graphs.items():
        path = output.with_name(f"{output.stem}_{part}.onnx")
        names = ("code", "image") if part == "decoder" else ("image", "code")
        difference, shape = _write(function, inputs, path, names)
        lines.append(
            f"{path}: {names[0]} {tuple(inputs.shape)} to {names[1]} {shape}, "
            f"codes of {name if part == 'decoder' else model.code_space}; "
            f"largest difference from PyTorch, relative to the largest number: {difference:.1e}"
        )
    return lines


def _random_codes(model: LatentModel, space: str, count: int) -> Tensor:
    """Codes of the prior, in this space."""
    return model.convert_code(model.prior(count), "z", space).contiguous()


class _Graph(nn.Module):
    """A function as the module that the exporter asks for."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, inputs: Tensor) -> Tensor:
        return self.function(inputs)


@torch.no_grad()
def _write(
    function: Callable[[Tensor], Tensor], inputs: Tensor, path: Path, names: tuple[str, str]
) -> tuple[float, tuple[int, ...]]:
    """Exports one graph, runs it, and gives back its largest relative difference and the shape of what it gives."""
    import onnxruntime

    expected = function(inputs)  # before tracing, which would leave its own tensors in what functions remember
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with warnings.catch_warnings(action="ignore"):
            torch.onnx.export(
                _Graph(function),
                (inputs,),
                temporary,
                dynamo=True,
                input_names=[names[0]],
                output_names=[names[1]],
                external_data=False,
                optimize=False,  # takes most of the time, and runtimes do it again
                verbose=False,
            )
        session = onnxruntime.InferenceSession(temporary, providers=["CPUExecutionProvider"])
        (found,) = session.run(None, {names[0]: inputs.numpy()})
        difference = float((torch.from_numpy(found) - expected).abs().max() / expected.abs().max())
        if not difference <= LARGEST:
            raise UserError(f"{path}: ONNX gives other numbers than PyTorch (relative difference {difference:.1e})")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return difference, tuple(expected.shape)
