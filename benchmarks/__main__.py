"""Runs every benchmark, one after the other, and writes what they print to docs/benchmarks.md.

``make bench``, or ``python -m benchmarks`` from the top of the checkout; ``python -m benchmarks only=methods,ranks``
repeats some and leaves the other sections as they are.
"""

import importlib
import re
import subprocess
import sys
import time
from datetime import date
from pathlib import Path

from aestyle.studies.running import machine

PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"
SECTIONS = {
    "methods": "Every method at 16, 32 and 64 px, with the networks of its paper",
    "narrow": "The networks of scale=cpu",
    "growing": "Growth with batch and width",
    "sharing": "What the phases of joint AE-StyleGAN share",
    "overhead": "Lightning's overhead, large networks",
    "aae_epoch": "Lightning's overhead, small networks",
    "ranks": "Two processes",
    "precision": "Precisions and threads",
    "freed_memory": "Freed memory",
    "cost_model": "The cost model of plans",
    "inversion": "Inversion",
    "loader": "Loading pictures",
}
"""Modules and their headings."""

HEAD = """# Benchmarks

What `make bench` printed; every section is a module of `benchmarks/` and can be run alone. Times are of the wall, on a
machine that did nothing else, unless a section says otherwise. No figure here is from a GPU.
"""


def section(module: str) -> str:
    """Runs a benchmark, showing what it prints, and gives back its part of the page."""
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", f"benchmarks.{module}"], stdout=subprocess.PIPE, text=True
    )
    printed = []
    assert process.stdout is not None
    for line in process.stdout:
        print(line, end="", flush=True)
        printed.append(line)
    if process.wait():
        raise SystemExit(f"benchmarks.{module} ended with {process.returncode}: {PAGE.name} keeps its old section")
    minutes = (time.perf_counter() - start) / 60
    about = (importlib.import_module(f"benchmarks.{module}").__doc__ or "").strip()
    about = about.replace("``", "`").replace(":mod:", "")
    here = machine()
    where = f"{here['cpu']}, {here['cores']} virtual CPUs, torch {here['torch']}"
    lines = "".join(printed).strip()
    return f"{about}\n\n{date.today()}, {minutes:.1f} min, {where}:\n\n```text\n{lines}\n```\n"


def main() -> None:
    options = dict(arg.partition("=")[::2] for arg in sys.argv[1:])
    chosen = options.pop("only", ",".join(SECTIONS)).split(",")
    if options:
        raise SystemExit(f"{', '.join(options)}: the only option is only=<sections>, of {','.join(SECTIONS)}")
    if unknown := set(chosen) - set(SECTIONS):
        raise SystemExit(f"only={','.join(sorted(unknown))}: choose from {','.join(SECTIONS)}")
    known = (
        dict(re.findall(r"^## (.+?)\n\n(.*?)(?=^## |\Z)", PAGE.read_text("utf-8"), re.M | re.S))
        if PAGE.exists()
        else {}
    )
    for number, (module, heading) in enumerate(SECTIONS.items(), 1):
        if module in chosen:
            print(f"\n[{number}/{len(SECTIONS)}] {heading}", flush=True)
            known[heading] = section(module)
        parts = [f"\n## {title}\n\n{known[title].strip()}\n" for title in SECTIONS.values() if title in known]
        PAGE.write_text(HEAD + "".join(parts), encoding="utf-8")


if __name__ == "__main__":
    main()
