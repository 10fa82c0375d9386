"""Optimisations of many pictures: a batch at a time, under a progress bar, and remembered on disk."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from rich.progress import Progress
from torch import Tensor

from aestyle.errors import UserError
from aestyle.latents.codes import Codes, read_codes
from aestyle.latents.optimize import Optimized, join
from aestyle.studies.editing.material import BARS

Run = Callable[[Tensor, int, Callable[[int], None]], Optimized]
"""Optimises codes of a batch (N, C, R, R) whose first picture has a position among all, and reports each step."""


def in_batches(run: Run, images: Tensor, batch_size: int, steps: int, what: str) -> Optimized:
    """Optimises codes of all pictures.

    Args:
        run: for one batch.
        images: (N, C, R, R).
        batch_size: pictures at a time.
        steps: that ``run`` reports for a batch.
        what: name of the progress bar, which shows to a person how long it will take.
    """
    positions = range(0, len(images), batch_size)
    with Progress(transient=True, console=BARS, disable=not BARS.is_terminal) as bar:
        task = bar.add_task(what, total=len(positions) * steps)

        def one(number: int, position: int) -> Optimized:
            found = run(images[position : position + batch_size], position, lambda _: bar.advance(task))
            bar.update(task, completed=(number + 1) * steps)  # one that was remembered reports no steps
            return found

        return join([one(number, position) for number, position in enumerate(positions)])


@dataclass
class Memory:
    """Finished batches on disk, so that a killed optimisation started again goes on behind them.

    Args:
        folder: where they are kept.
        asked: all options that the codes depend on, and the model's identity: with others, nothing is remembered.
    """

    folder: Path
    asked: str
    used: set[Path] = field(default_factory=set)

    def of(self, run: Run) -> Run:
        """``run``, except for batches that are done already."""

        def remembering(images: Tensor, position: int, progress: Callable[[int], None]) -> Optimized:
            path = self._path(images, position)
            self.used.add(path)
            try:
                found = read_codes(path)
                return Optimized(found.codes.to(images.device), dict(found.others))
            except UserError:  # not there, or damaged
                done = run(images, position, progress)
                Codes(done.codes, "", [], others=done.curves).save(path)
                return done

        return remembering

    def forget_others(self) -> None:
        """Deletes what was done with other options or pictures."""
        for path in set(self.folder.glob("*.safetensors")) - self.used:
            path.unlink()

    def _path(self, images: Tensor, position: int) -> Path:
        digest = hashlib.sha256(f"{self.asked} {position} {tuple(images.shape)}".encode())
        digest.update(images.cpu().numpy().tobytes())
        return self.folder / f"{digest.hexdigest()[:16]}.safetensors"
