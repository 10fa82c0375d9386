"""What a training step of overparam costs beside one of the baseline: time and memory (Table 4).

``python -m experiments.overparam.cost`` (from the top of the checkout) takes a minute of a quiet machine and writes
``experiments/overparam/results/cpu/cost.json``. Both have the size that ``benchmarks.narrow`` compares.
"""

import json
import resource

from aestyle.studies.running import machine
from benchmarks.narrow import PAIRS, compare
from benchmarks.steps import Case, fresh, method_of, without_trainer
from experiments.overparam.options import FOLDER

FILE = FOLDER / "results" / "cpu" / "cost.json"


def step_memory(case: Case) -> int:
    """Bytes by which three training steps raise the peak memory of a fresh process that has built the networks."""
    step = without_trainer(method_of(case), case.batch_size)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(3):
        step()
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024


def main() -> None:
    """Measures and writes."""
    (pair,) = (pair for pair in PAIRS if pair[0].method == "overparam")
    seconds = fresh(compare, *pair)
    memory = [fresh(step_memory, case) for case in pair]
    content = {
        name: {"seconds": round(seconds[i], 4), "megabytes": round(memory[i] / 1e6, 1), "options": list(case.options)}
        for i, (name, case) in enumerate(zip(("overparam", "baseline"), pair, strict=True))
    }
    FILE.parent.mkdir(parents=True, exist_ok=True)
    FILE.write_text(json.dumps({**content, "machine": machine()}, indent=2) + "\n", encoding="utf-8")
    print(f"{FILE} is written: {content}")


if __name__ == "__main__":
    main()
