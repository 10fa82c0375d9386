"""A configured data set becomes an archive that training reads without decoding, or a list of what is broken in it."""

from pathlib import Path

from hydra.utils import instantiate
from omegaconf import DictConfig

from aestyle.data.archive import Archive, archive_name
from aestyle.data.sources import ImageSource
from aestyle.data.splits import Split
from aestyle.data.transforms import Preparation
from aestyle.data.writing import broken_pictures, write_archive
from aestyle.errors import UserError
from aestyle.studies.options import require_whole


def prepare(cfg: DictConfig) -> None:
    """Fetches a data set if need be, and prepares or checks its pictures; what was done is not done again.

    Args:
        cfg: composed from ``conf/prepare.yaml``.

    Raises:
        UserError: something cannot be fetched, read or written, or pictures are broken.
    """
    if cfg.workers is not None:
        require_whole("workers", cfg.workers, 1)
    require_whole("resolution", cfg.resolution, 1)
    source = open_or_fetch(cfg.dataset)
    options = cfg.dataset
    preparation = Preparation(cfg.resolution, options.channels, options.crop, options.filter)
    if cfg.check:
        check(source, preparation, cfg.workers)
        return
    prepared = Path(cfg.prepared)
    output = Path(cfg.output) if cfg.output else prepared / archive_name(options.name, source, preparation)
    was_there = output.exists()
    archive = write_archive(output, source, preparation, cfg.broken, cfg.workers)
    print(f"{output}: {'was prepared already, nothing to do' if was_there else 'is ready'}; {contents(archive, cfg)}")
    if output.absolute().parent == prepared.absolute():
        where = f" dataset.path={options.path}" if options.name == "folder" else ""
        print(f"python -m aestyle.train dataset={options.name}{where} resolution={cfg.resolution} finds it by itself")
    else:
        print(f"train on it with dataset=folder dataset.path={output} resolution={cfg.resolution}")


def open_or_fetch(dataset: DictConfig) -> ImageSource:
    """The pictures of a data set; if they are not there and a registry holds them, they are fetched.

    Args:
        dataset: one of ``conf/dataset``, resolved.

    Raises:
        UserError: they are not there, or damaged.
    """
    try:
        return build(dataset.source)
    except UserError:
        if not dataset.get("fetch"):
            raise
    for fetch in dataset.fetch:
        instantiate(fetch)(Path(dataset.path).expanduser())
    return build(dataset.source)


def build(node: DictConfig) -> ImageSource:
    """Instantiates a source; what it refuses comes as it is, not wrapped by Hydra."""
    try:
        source: ImageSource = instantiate(node, _convert_="all")
    except Exception as error:
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, UserError):
                raise cause from None
            cause = cause.__cause__
        raise
    return source


def check(source: ImageSource, preparation: Preparation, workers: int | None) -> None:
    """Prints a line for every picture that cannot be used.

    Args:
        source: the pictures.
        preparation: what they would go through.
        workers: threads; None: one a core.

    Raises:
        UserError: there is such a picture.
    """
    broken = 0
    for line in broken_pictures(source, preparation, workers):
        broken += 1
        print(line)
    if broken:
        raise UserError(
            f"{source.name}: {broken} of {len(source)} pictures cannot be used; replace or remove them, or prepare "
            "with broken=skip"
        )
    print(f"{source.name}: all {len(source)} pictures can be used")


def contents(archive: Archive, cfg: DictConfig) -> str:
    """Numbers of pictures in all and in each split, beside the published ones where they differ."""
    split: Split = instantiate(cfg.dataset.split, _convert_="all")
    published = cfg.dataset.get("published") or {}
    parts = []
    for name, indices in split(archive).items():
        expected = published.get(name, len(indices))
        parts.append(
            f"{len(indices)} {name}" + ("" if len(indices) == expected else f" (published: {expected}; incomplete?)")
        )
    left_out = len(archive.header["skipped"])
    return f"{len(archive)} pictures: {', '.join(parts)}" + (f"; {left_out} broken ones left out" if left_out else "")
