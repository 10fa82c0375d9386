"""A long training that is killed at random moments, beside the same one left alone: do both end in the same bits?

Joint AE-StyleGAN at 16 px on the faces, with evaluation, image grids, checkpoints and W&B offline. The undisturbed run
is watched: its resident memory and its open files after each line of statistics, to which lines are fitted behind a
warm-up of half of the run. The other run gets SIGKILL, with nothing said to its helpers, and the same command
again. Behind each end it is looked for processes that were left behind.

Run as ``python -m benchmarks.soak batches=2000 kills=3 seed=0 output=runs/soak.json``; exit code 1 if it is not as it
should be.
"""

import json
import os
import random
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from scipy.stats import theilslopes

from tests.tiny import differences

BATCH = 8
WARM_UP = 0.5
GRACE = 60.0
"""Seconds that helpers of a killed training get to notice."""

MOST_GROWTH = 1.0
"""MB per 1,000 batches that memory may grow behind the warm-up."""

MARK = "AESTYLE_SOAK"
TIMES = ("seconds", "images_per_second", "checkpoint", "time", "date")


@dataclass
class Watched:
    """What was seen of the undisturbed run, at each line of statistics."""

    batches: list[int] = field(default_factory=list)
    memory_mb: list[float] = field(default_factory=list)
    files: list[int] = field(default_factory=list)

    def look(self, pid: int, batches: int) -> None:
        """Adds one look at the process; nothing if it has just ended."""
        with suppress(OSError):
            pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="utf-8").split()[1])
            files = len(list(Path(f"/proc/{pid}/fd").iterdir()))
            self.batches.append(batches)
            self.memory_mb.append(pages * os.sysconf("SC_PAGE_SIZE") / 2**20)
            self.files.append(files)

    def growth(self, values: list[float] | list[int]) -> float:
        """Median slope behind the warm-up (Theil-Sen: a single step is no growth), per 1,000 batches.

        Not a number with fewer than three looks.
        """
        behind = np.array(self.batches) >= WARM_UP * max(self.batches, default=0)
        if behind.sum() < 3:
            return float("nan")
        return float(theilslopes(np.array(values)[behind], np.array(self.batches)[behind]).slope * 1000)


def command(run_dir: Path, batches: int) -> list[str]:
    """The training: something happens every few batches, whatever their number."""
    every = {"stats": batches / 100, "checkpoint": batches / 40, "grid": batches / 20}
    kimg = {name: max(1, round(count)) * BATCH / 1000 for name, count in {**every, "evaluate": batches / 10}.items()}
    return [
        *(sys.executable, "-m", "aestyle.train", "method=joint_ae", "dataset=orl_faces", "scale=cpu", "trainer=cpu"),
        *("resolution=16", f"batch_size={BATCH}", f"kimg={batches * BATCH / 1000}", f"run_dir={run_dir}"),
        *(f"scale.{name}_kimg={kimg[name]}" for name in every),
        *("metrics=[rec_mse]", f"evaluate.every_kimg={kimg['evaluate']}", "evaluate.best=rec_mse"),
        *("logger=wandb", "logger.wandb.offline=true", "dataset.num_workers=2", "data.cache=false"),
    ]


def lines(path: Path) -> list[dict[str, Any]]:
    """The whole lines of a JSONL file, without what depends on the clock on the wall."""
    found = path.read_text(encoding="utf-8").split("\n")[:-1] if path.exists() else []
    return [{key: value for key, value in json.loads(line).items() if key not in TIMES} for line in found]


def follow(process: subprocess.Popen[bytes], run_dir: Path) -> Iterator[int]:
    """Batches that the run has behind it, whenever a line of statistics comes, until the process ends."""
    known = 0
    while process.poll() is None:
        told = lines(run_dir / "stats.jsonl")
        at = round(told[-1]["kimg"] * 1000 / BATCH) if told else 0
        if at > known:
            known = at
            yield at
        time.sleep(0.1)


def start(run_dir: Path, batches: int, mark: str) -> subprocess.Popen[bytes]:
    """Starts the training, what it prints goes to a file beside the run folder."""
    env = {**os.environ, MARK: mark, "WANDB_SILENT": "true"}
    with run_dir.with_suffix(".log").open("ab") as log:
        return subprocess.Popen(command(run_dir, batches), stdout=log, stderr=log, env=env, start_new_session=True)


def left_behind(mark: str) -> list[int]:
    """Processes that carry the mark, once those that need a moment to end have had it."""
    deadline = time.monotonic() + GRACE
    while (found := _marked(mark)) and time.monotonic() < deadline:
        time.sleep(0.5)
    return found


def _marked(mark: str) -> list[int]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if f"{MARK}={mark}".encode() in (folder / "environ").read_bytes():
                found.append(int(folder.name))
    return found


def undisturbed(run_dir: Path, batches: int) -> tuple[Watched, list[int]]:
    """Trains to the end under observation; what was seen, and which processes are left."""
    mark, watched = secrets.token_hex(8), Watched()
    process = start(run_dir, batches, mark)
    for at in follow(process, run_dir):
        watched.look(process.pid, at)
    check(process.returncode == 0, f"{run_dir}.log: the undisturbed run ended with {process.returncode}")
    return watched, left_behind(mark)


def killed(run_dir: Path, batches: int, moments: list[int], delay: Callable[[], float]) -> list[list[int]]:
    """Trains to the end with SIGKILLs on the way; which processes are left behind each of the ends."""
    left = []
    for moment in [*moments, None]:
        mark = secrets.token_hex(8)
        process = start(run_dir, batches, mark)
        for at in follow(process, run_dir):
            if moment is not None and at >= moment:
                time.sleep(delay())
                process.send_signal(signal.SIGKILL)
                process.wait()
        check(moment is not None or process.returncode == 0, f"{run_dir}.log: ended with {process.returncode}")
        left.append(left_behind(mark))
    return left


def check(holds: bool, otherwise: str) -> None:
    """Ends the command with a line if something that all the rest needs does not hold."""
    if not holds:
        raise SystemExit(f"soak: {otherwise}")


def ends(a: Path, b: Path) -> list[str]:
    """Where two finished runs differ: everything in their checkpoints, statistics and metrics."""
    found = []
    for name in ("last.ckpt", "best.ckpt"):
        first, second = (torch.load(run / "checkpoints" / name, weights_only=True) for run in (a, b))
        for run in (first, second):
            run["aestyle"].pop("config")  # names the folder
        keys = ("state_dict", "optimizer_states", "callbacks", "aestyle")
        found += [f"{name}{place}" for key in keys for place in differences(first[key], second[key], f".{key}")]
    for name in ("stats.jsonl", "metrics.jsonl"):
        found += differences(lines(a / name), lines(b / name), name)
    return found


def main() -> None:
    options = {"batches": "2000", "kills": "3", "seed": "0", "output": "runs/soak.json"}
    options |= dict(arg.split("=", 1) for arg in sys.argv[1:])
    batches, generator = int(options["batches"]), random.Random(int(options["seed"]))
    moments = sorted(generator.sample(range(batches // 20, batches * 19 // 20), int(options["kills"])))
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        straight, disturbed = Path(folder) / "straight", Path(folder) / "disturbed"
        start_time = time.perf_counter()
        watched, left = undisturbed(straight, batches)
        behind = killed(disturbed, batches, moments, lambda: generator.uniform(0, 1))
        different = ends(straight, disturbed)
        ids = {path.name.rpartition("-")[2] for path in disturbed.glob("wandb/offline-run-*")}
    result = {
        "batches": batches,
        "killed_behind_batches": moments,
        "differences": different,
        "memory_mb_per_1000_batches": watched.growth(watched.memory_mb),
        "files_per_1000_batches": watched.growth(watched.files),
        "memory_mb": [round(min(watched.memory_mb)), round(max(watched.memory_mb))],
        "files": [min(watched.files), max(watched.files)],
        "processes_left": sum(map(len, [left, *behind])),
        "wandb_ids": len(ids),
        "seconds": round(time.perf_counter() - start_time),
        "watched": asdict(watched),
    }
    path = Path(options["output"])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    wrong = report(result)
    raise SystemExit(1 if wrong else 0)


def report(result: dict[str, Any]) -> bool:
    """Prints a table; whether anything in it is wrong."""
    rows = {
        "places where the ends differ": (len(result["differences"]), 0),
        "memory, MB per 1,000 batches": (result["memory_mb_per_1000_batches"], MOST_GROWTH),
        "open files per 1,000 batches": (result["files_per_1000_batches"], 0.5),
        "processes left behind": (result["processes_left"], 0),
        "W&B runs": (result["wandb_ids"], 1),
    }
    title = f"{result['batches']} batches, killed behind {result['killed_behind_batches']}"
    table = Table("", "measured", "at most", title=title)
    for name, (value, most) in rows.items():
        table.add_row(name, f"{value:.3g}", f"{most:g}")
    Console().print(table)
    print(*result["differences"][:10], sep="\n")
    return any(not value <= most for value, most in rows.values())


if __name__ == "__main__":
    main()
