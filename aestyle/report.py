"""See how a run went: ``python -m aestyle.report run=<run folder>``."""

from omegaconf import DictConfig

from aestyle.entry import entry


@entry("report")
def main(cfg: DictConfig) -> None:
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


if __name__ == "__main__":
    main()
