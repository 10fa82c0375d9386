"""Measure a model with named recipes and write down what came out."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from torch import Tensor, nn

from aestyle.errors import NotOffered, UserError
from aestyle.metrics.cache import FeatureCache
from aestyle.metrics.recipe import PictureSet, Recipe, Subject
from aestyle.metrics.shares import Share
from aestyle.protocol import Autoencoder

if TYPE_CHECKING:
    from aestyle.data.datamodule import ImageDataModule
    from aestyle.data.pictures import ImageSet

Record = dict[str, Any]
"""One result: metric, value, kimg, checkpoint, split, num_images, seed, extractor, resize, reference, seconds, data;
of some metrics also histogram.

``data`` says how the real pictures were prepared, and which they are where an archive has their hashes.
"""

RESULTS = "metrics.jsonl"


def evaluate(
    model: Autoencoder | None,
    data: ImageDataModule,
    recipes: Sequence[Recipe],
    *,
    checkpoint: str | None = None,
    kimg: float | None = None,
    device: torch.device | str = "cpu",
    batch_size: int = 16,
    console: Console | None = None,
    cache: Path | None = None,
    share: Share | None = None,
    fakes: PictureSet | None = None,
    not_measured: dict[str, str] | None = None,
) -> list[Record]:
    """Runs every recipe, with a progress bar; the model, its train/eval mode and torch's generators stay as they were.

    Args:
        model: On ``device`` already; None is enough for recipes that look at the data alone.
        data: The real pictures.
        recipes: What to measure, in this order.
        checkpoint: For the records: where the model came from.
        kimg: For the records: thousand images the model was trained on.
        device: Where to compute.
        batch_size: Pictures per forward pass; results do not depend on it.
        console: Where the progress bar goes; None shows none.
        cache: Folder where features of real pictures are kept for the next evaluation; None keeps none.
        share: Which of several processes this is, if they measure together; all of them get the records.
        fakes: Pictures that are measured in place of samples, as where there is no model.
        not_measured: Takes the reason of each recipe that has no meaning for this model; None raises it.

    Raises:
        UserError: a recipe has no meaning for this data (found before anything is measured) or needs a model.
    """
    if not isinstance(batch_size, int) or batch_size < 1:
        raise UserError(f"batch_size={batch_size}: give at least 1")
    for recipe in recipes:
        recipe.check(data)
    pictures = data.record()
    records = []
    with undisturbed(model), torch.no_grad(), _progress(console) as progress:
        subject = Subject(
            model,
            data,
            device,
            batch_size,
            track=_Tracker(progress),
            share=share or Share(),
            cache=FeatureCache(cache) if cache else None,
            fakes=fakes,
        )
        overall = progress.add_task("metrics", total=len(recipes))
        for recipe in recipes:
            progress.update(overall, description=recipe.name)
            start = time.perf_counter()
            progress.advance(overall)
            try:
                facts = recipe(subject).facts()
            except NotOffered as error:
                if not_measured is None:
                    raise
                not_measured[recipe.name] = str(error)
                continue
            seconds = round(time.perf_counter() - start, 3)
            records.append({**facts, "kimg": kimg, "checkpoint": checkpoint, "seconds": seconds, "data": pictures})
    return records


@contextmanager
def joined() -> Iterator[Share]:
    """The part of this process where ``torchrun`` started several; they talk to each other inside of the block."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield Share()
        return
    dist.init_process_group("gloo")
    try:
        yield Share(dist.get_rank(), dist.get_world_size())
    finally:
        dist.destroy_process_group()


def open_folders(real: str, fake: str, resolution: int | None = None) -> tuple[ImageDataModule, ImageSet]:
    """Two sets of picture files, for a comparison without a model.

    Args:
        real: Folder, zip file or anything else that ``dataset=folder`` takes; the whole of it is the train split.
        fake: Likewise; its pictures are square and of one size.
        resolution: That size in pixels, which the real pictures are brought to; None: as the first fake one.

    Raises:
        UserError: One of them is missing or empty, or a picture cannot be used.
    """
    from aestyle.data.datamodule import ImageDataModule
    from aestyle.data.opening import open_source
    from aestyle.data.pictures import ImageSet, Pictures
    from aestyle.data.splits import FractionSplit
    from aestyle.data.transforms import Preparation

    source = open_source(fake)
    size = resolution or source.load(0).width
    fakes = Pictures(source, Preparation(size, channels=3, crop="none"))
    data = ImageDataModule(
        str(real), open_source(real), FractionSplit(0, 0), resolution=size, channels=3, batch_size=1, seed=0
    )
    return data, ImageSet(fakes, range(len(source)))


@contextmanager
def undisturbed(model: object) -> Iterator[None]:
    """Puts ``model`` into eval mode; afterwards each of its modules and torch's generators are as they were."""
    modes = [(module, module.training) for module in model.modules()] if isinstance(model, nn.Module) else []
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        try:
            for module, _ in modes:
                module.training = False
            yield
        finally:
            for module, training in modes:
                module.training = training


def find_device(name: str) -> torch.device:
    """The device called ``name``; ``auto`` is the first CUDA device where there is one, else the CPU.

    Raises:
        UserError: there is no such device here.
    """
    if name == "auto":
        # Where torchrun started several processes, each has its own.
        return (
            torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
            if torch.cuda.is_available()
            else torch.device("cpu")
        )
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # a torch built without CUDA asserts
        raise UserError(f"device={name} is not available here: choose auto, cpu or an existing cuda device") from error
    return device


def append_records(records: Iterable[Record], run_dir: Path) -> Path:
    """Adds one JSON line per record to ``metrics.jsonl`` in ``run_dir``; a value that is not finite becomes null."""
    path = run_dir / RESULTS
    lines = [json.dumps({**r, "value": r["value"] if math.isfinite(r["value"]) else None}) + "\n" for r in records]
    with path.open("a", encoding="utf-8") as file:
        file.write("".join(lines))
    return path


def table(records: Iterable[Record], title: str | None = None) -> Table:
    """The records as a table for people."""
    shown = Table(title=title)
    for column in ("metric", "value", "split", "images", "reference", "features"):
        numeric = column in {"value", "images"}
        shown.add_column(column, justify="right" if numeric else "left", no_wrap=column != "features", overflow="fold")
    for r in records:
        facts = (r["split"], str(r["num_images"]), r["reference"] or "", r["extractor"] or "pixels")
        shown.add_row(r["metric"], f"{r['value']:.4g}", *facts)
    return shown


class _Tracker:
    """Shows one transient bar for each pass over pictures."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress

    def __call__(self, batches: Iterable[Tensor], total: int, what: str) -> Iterator[Tensor]:
        task = self.progress.add_task(f"  {what}", total=total)
        try:
            for batch in batches:
                yield batch
                self.progress.advance(task)
        finally:
            self.progress.remove_task(task)


def _progress(console: Console | None) -> Progress:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=console, disable=console is None, transient=True)
