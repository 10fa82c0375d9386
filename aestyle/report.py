"""See how runs went, and what they would cost.

- ``python -m aestyle.report run=<run folder>``: curves, samples and reconstructions of a run, and what was measured.
- ``python -m aestyle.report sweep=<folder>``: all runs of a multirun or study on one page that opens offline.
- ``python -m aestyle.report plan=ae_stylegan``: parameters, FLOPs, memory and GPU-hours of a study's runs.
- ``python -m aestyle.report dashboard=ae_stylegan``: a study's layout for W&B, as JSON.
"""

from pathlib import Path

from omegaconf import DictConfig

from aestyle.entry import entry
from aestyle.errors import UserError

WIDE = 140
"""Columns of characters that tables of many columns get, also where the terminal has fewer."""


@entry("report")
def main(cfg: DictConfig) -> None:
    """Answers the one question that was asked."""
    questions = {"run": _run, "sweep": _sweep, "plan": _plan, "dashboard": _dashboard}
    asked = [name for name in questions if cfg[name] is not None]
    if len(asked) != 1:
        raise UserError("give one of run=<run folder>, sweep=<folder of run folders>, plan=<study>, dashboard=<study>")
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


def _plan(cfg: DictConfig) -> None:
    """Prints what each run of a study needs."""
    from rich.console import Console

    from aestyle.studies.costs import Hardware, plan_study, plan_tables

    hardware = Hardware(cfg.tflops, cfg.utilisation, cfg.devices, cfg.bandwidth)
    costs = plan_study(_study(cfg.plan), cfg.scale.name, hardware, cfg.only)
    console = Console(width=max(Console().width, WIDE))
    for table in plan_tables(costs, hardware):
        console.print(table)


def _dashboard(cfg: DictConfig) -> None:
    """Writes a study's layout for W&B."""
    from aestyle.studies.dashboards import write_dashboard

    print(write_dashboard(_study(cfg.dashboard), Path(cfg.output), cfg.entity, cfg.project, cfg.upload))


def _study(name: str) -> Path:
    """A study's folder: one of ``experiments/`` by its name, or any folder."""
    own = Path("experiments") / name
    return own if own.is_dir() else Path(name)


if __name__ == "__main__":
    main()
