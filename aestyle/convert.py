"""Use a checkpoint of the reference code here: ``python -m aestyle.convert input=550000.pt output=runs/converted``.

Or give a model away in one small file: ``python -m aestyle.convert input=runs/demo output=faces.safetensors``.
Or use it without PyTorch: ``python -m aestyle.convert input=runs/demo output=faces.onnx``.
"""

from omegaconf import DictConfig

from aestyle.entry import entry


@entry("convert")
def main(cfg: DictConfig) -> None:
    """Writes a run folder, a model for use alone or ONNX graphs; says what was found and how exact the result is."""
    from pathlib import Path

    from aestyle.studies.conversion import FILES, convert
    from aestyle.studies.export import export
    from aestyle.studies.onnx_export import export_onnx

    source, output = Path(cfg.input), Path(cfg.output)
    if output.suffix == ".onnx":
        lines = export_onnx(source, output, cfg.batch_size, cfg.space)
    elif output.suffix == ".safetensors" and source.suffix not in FILES:
        lines = export(source, output)
    else:
        reference = Path(cfg.reference) if cfg.reference else None
        lines = convert(source, output, cfg.dataset.path, reference, cfg.tolerance)
        lines.append(f"converted; look at it with python -m aestyle.sample ckpt={output} output=<folder>")
    print(*lines, sep="\n")


if __name__ == "__main__":
    main()
