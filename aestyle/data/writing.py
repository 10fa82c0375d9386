"""Writes archives: in parallel, on from where an earlier start was killed, never half under the final name."""

import fcntl
import json
import shutil
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import IO, Any, Literal

import PIL

from aestyle.data.archive import HEADER, IMAGES, PARTIAL, Archive, is_archive, sync
from aestyle.data.parallel import in_order, with_bar
from aestyle.data.sources import ImageSource
from aestyle.data.transforms import Preparation
from aestyle.errors import UserError

JOURNAL = "journal.jsonl"
LOCK = "lock"
Broken = Literal["strict", "skip"]


@dataclass(frozen=True)
class _Entry:
    """A line of the journal: hash of the stored picture, checksum of its pixels, or why it was left out."""

    sha256: str = ""
    crc: int = 0
    reason: str = ""


def write_archive(
    output: Path,
    source: ImageSource,
    preparation: Preparation,
    broken: Broken = "strict",
    workers: int | None = None,
) -> Archive:
    """Prepare all pictures of a source; does nothing if that was done, and goes on where it was killed.

    Args:
        output: Folder of the archive.
        source: The pictures.
        preparation: How they become tensors.
        broken: ``strict`` stops at the first picture that cannot be used, ``skip`` leaves such pictures out and
            lists them in the archive.
        workers: Threads; one a core, but at most 8, if None.

    Raises:
        UserError: If ``output`` holds something else, a picture is broken, none is left, or the disk is too full.
    """
    if broken not in ("strict", "skip"):
        raise UserError(f"broken={broken}: choose one of strict, skip")
    if isinstance(source, Archive):
        source.refuse_other(preparation)
    plan = {"fingerprint": source.fingerprint(), "preparation": asdict(preparation)}
    if output.exists():
        return _finished(output, plan, broken)
    partial = output.with_name(output.name + PARTIAL)
    partial.mkdir(parents=True, exist_ok=True)
    with _alone(partial):
        entries = _completed(partial, plan, preparation)
        _refuse_full_disk(partial, (len(source) - len(entries)) * _size(preparation))
        for entry in entries:
            _refuse_broken(entry, broken)
        _write(partial, entries, source, preparation, broken, workers)
        header = _header(partial, plan, entries, source)
        (partial / HEADER).write_text(json.dumps(header, ensure_ascii=True), encoding="utf-8")
        sync(partial / HEADER)
        partial.rename(output)
    for helper in (JOURNAL, LOCK):
        (output / helper).unlink()
    return Archive(output)


def broken_pictures(source: ImageSource, preparation: Preparation, workers: int | None = None) -> Iterator[str]:
    """Looks at every picture and yields a line for each that cannot be used: name, reason and fix.

    Args:
        source: The pictures.
        preparation: How they would become tensors.
        workers: Threads; one a core, but at most 8, if None.
    """

    def reason(index: int) -> str | None:
        try:
            preparation(source.load(index), f"{source.name}/{source.key(index)}")
        except UserError as error:
            return str(error)
        return None

    found = with_bar(in_order(reason, range(len(source)), workers), "looking at pictures", len(source))
    return (line for line in found if line)


def _write(
    partial: Path,
    entries: list[_Entry],
    source: ImageSource,
    preparation: Preparation,
    broken: Broken,
    workers: int | None,
) -> None:
    """Adds the pictures that are missing; an entry is written after its pixels are."""

    def prepare(index: int) -> tuple[_Entry, bytes]:
        try:
            image = preparation(source.load(index), f"{source.name}/{source.key(index)}")
            pixels = image.numpy().tobytes()
            return _Entry(sha256(source.read(index)).hexdigest(), zlib.crc32(pixels)), pixels
        except (UserError, OSError) as error:
            return _Entry(reason=str(error)), b""

    done = len(entries)
    results = in_order(prepare, range(done, len(source)), workers)
    try:
        with (partial / IMAGES).open("ab") as images, (partial / JOURNAL).open("a", encoding="utf-8") as journal:
            for entry, pixels in with_bar(results, "preparing pictures", len(source), done):
                _refuse_broken(entry, broken)
                images.write(pixels)
                images.flush()
                journal.write(_line(entry))
                journal.flush()
                entries.append(entry)
        sync(partial / IMAGES)
    except OSError as error:
        raise UserError(
            f"{partial}: cannot be written ({error.strerror}); free space, and the same command goes on from there"
        ) from None


def _completed(partial: Path, plan: dict[str, Any], preparation: Preparation) -> list[_Entry]:
    """What an earlier start left of the same work: entries whose pixels are there; all else is cut off."""
    journal, images = partial / JOURNAL, partial / IMAGES
    first = json.dumps(plan) + "\n"
    entries: list[_Entry] = []
    if journal.exists() and images.exists():
        with journal.open(encoding="utf-8") as lines, images.open("rb") as pixels:
            if lines.readline() == first:
                entries = list(_valid(lines, pixels, _size(preparation)))
    with journal.open("w", encoding="utf-8") as file:
        file.writelines([first, *map(_line, entries)])
    with images.open("ab") as file:
        file.truncate(sum(not entry.reason for entry in entries) * _size(preparation))
    return entries


def _valid(lines: IO[str], pixels: IO[bytes], size: int) -> Iterator[_Entry]:
    for line in lines:
        try:
            entry = _Entry(*json.loads(line))
        except (ValueError, TypeError):  # the line that was being written
            return
        if not entry.reason and zlib.crc32(pixels.read(size)) != entry.crc:
            return
        yield entry


def _header(partial: Path, plan: dict[str, Any], entries: list[_Entry], source: ImageSource) -> dict[str, Any]:
    kept = [index for index, entry in enumerate(entries) if not entry.reason]
    if not kept:
        raise UserError(f"{source.name}: none of its {len(source)} pictures can be used; check=true lists the reasons")
    labels, keys = source.labels, [source.key(index) for index in kept]
    groups = [source.group(index) for index in kept]
    contents = sha256()
    for index in kept:
        contents.update(f"{source.key(index)}\0{entries[index].sha256}\n".encode("utf-8", "surrogateescape"))
    with (partial / IMAGES).open("rb") as images:
        pixels = sha256()
        while block := images.read(2**24):
            pixels.update(block)
    return {
        **plan,
        "source": source.name,
        "source_sha256": contents.hexdigest(),
        "images_sha256": pixels.hexdigest(),
        "pillow": PIL.__version__,
        "skipped": {source.key(index): entry.reason for index, entry in enumerate(entries) if entry.reason},
        "keys": keys,
        "labels": labels and [labels[index] for index in kept],
        "groups": None if groups == keys else groups,
    }


def _finished(output: Path, plan: dict[str, Any], broken: Broken) -> Archive:
    if not is_archive(output):
        raise UserError(f"output={output} exists already and is no archive; choose another folder")
    archive = Archive(output)
    if any(archive.header.get(name) != value for name, value in plan.items()):
        raise UserError(f"output={output} holds an archive of other pictures or options; choose another folder")
    for reason in archive.header["skipped"].values():
        _refuse_broken(_Entry(reason=reason), broken)
    return archive


def _refuse_broken(entry: _Entry, broken: Broken) -> None:
    if entry.reason and broken == "strict":
        raise UserError(f"{entry.reason} (check=true lists all such pictures, broken=skip leaves them out)")


def _refuse_full_disk(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise UserError(
            f"{folder}: the archive needs {needed / 1e9:.2f} GB and {free / 1e9:.2f} are free; free space, or choose "
            "another folder with output=<folder>"
        )


@contextmanager
def _alone(partial: Path) -> Iterator[None]:
    """No second process may write the same archive; the lock ends with the process, however that ends."""
    with (partial / LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UserError(f"{partial}: another process is writing this archive; wait for it, or end it") from None
        yield


def _line(entry: _Entry) -> str:
    return json.dumps([entry.sha256, entry.crc, entry.reason]) + "\n"


def _size(preparation: Preparation) -> int:
    return preparation.channels * preparation.resolution**2
