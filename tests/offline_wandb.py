"""What W&B wrote to disk in offline mode, read back."""

import json
import struct
import time
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from wandb.proto import wandb_internal_pb2


def blobs(file: Path) -> Iterator[bytes]:
    """The records of a W&B file: LevelDB's log format, 32 KiB blocks of parts with checksum, length and type.

    W&B's own process may still be writing: a part that is not there as a whole ends the file.
    """
    data, at, whole = file.read_bytes(), 7, b""
    assert b":W&B".startswith(data[:4])
    while at + 7 <= len(data):
        if 2**15 - at % 2**15 < 7:  # a block's end too short for a header is padding
            at += 2**15 - at % 2**15
            continue
        checksum, length, kind = struct.unpack_from("<IHB", data, at)
        if zlib.crc32(data[at + 6 : at + 7 + length]) != checksum:  # of type and content
            return
        whole += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield whole
            whole = b""


def records(file: Path) -> list[Any]:
    """What W&B wrote to disk."""
    found = []
    for blob in blobs(file):
        record = wandb_internal_pb2.Record()
        record.ParseFromString(blob)
        found.append(record)
    return found


def files_of(run_dir: Path, patience: float = 60) -> list[Path]:
    """The W&B files of a run folder, one for each start, once W&B's own process has written their ends."""
    files = sorted(run_dir.glob("wandb/offline-run-*/run-*.wandb"))
    assert files
    until = time.monotonic() + patience
    while not all(any(record.HasField("exit") for record in records(file)) for file in files):
        assert time.monotonic() < until, "W&B has not finished its files"
        time.sleep(0.1)
    return files


def history(files: Iterable[Path]) -> list[dict[str, Any]]:
    """The rows of a run: values by name, the parts of a nested name joined by ``/``."""
    rows = []
    for file in files:
        for record in records(file):
            if record.HasField("history"):
                items = record.history.item
                rows.append({item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in items})
    return rows


def media(rows: Iterable[dict[str, Any]]) -> dict[str, str]:
    """Kind of everything that is no number, by name, as ``{"grids/samples": "images/separated"}``."""
    found = {}
    for row in rows:
        for name, value in row.items():
            if name.endswith("/_type"):
                found[name.removesuffix("/_type")] = value
            elif isinstance(value, dict) and "_type" in value:
                found[name] = value["_type"]
    return found
