"""See how runs went, and what they would cost.

- ``python -m aestyle.report run=<run folder>``: curves, samples and reconstructions of a run, and what was measured.
- ``python -m aestyle.report sweep=<folder>``: all runs of a multirun or study on one page that opens offline.
"""

from omegaconf import DictConfig

from aestyle.entry import entry
from aestyle.errors import UserError


@entry("report")
def main(cfg: DictConfig) -> None:
    """Answers the one question that was asked."""
    questions = {"run": _run, "sweep": _sweep}
    asked = [name for name in questions if cfg[name] is not None]
    if len(asked) != 1:
        raise UserError("give one of run=<run folder>, sweep=<folder of run folders>")
    questions[asked[0]](cfg)


def _run(cfg: DictConfig) -> None:
    """Draws training curves, reconstructions and samples into the run folder and prints its metrics."""
    from rich.console import Console

    from aestyle.studies.evaluation import RESULTS, find_device
    from aestyle.studies.report import draw, newest, read_lines, results_table

    device = find_device(cfg.device)
    info, pictures, notes = draw(cfg.run, device, cfg.batch_size)
    records = newest(read_lines(info.run_dir / RESULTS))
    if records:
        Console().print(results_table(records, title=f"{info.run_dir} after {info.kimg:g} kimg"))
    else:
        notes.append(f"no metrics yet: python -m aestyle.evaluate ckpt={info.run_dir}")
    for line in [*notes, *pictures]:
        print(line)


def _sweep(cfg: DictConfig) -> None:
    """Writes a page about all runs of a folder, and names those that are not finished."""
    from aestyle.studies.ending import Outcome
    from aestyle.studies.summary import summarise

    page, runs = summarise(cfg.sweep)
    for run in runs:
        if run.note.outcome != Outcome.FINISHED:
            print(f"{run.note.outcome:<8} {run.name}: {run.note.reason or f'{run.kimg:g} kimg'}")
    print(f"{len(runs)} runs are in {page}")


if __name__ == "__main__":
    main()
