"""Repeat the iteration that ended a training: ``python -m aestyle.replay run_dir=<run folder>``.

A training that is aborted for numbers that are not finite leaves ``crash/iteration.ckpt`` in its run folder.
"""

from omegaconf import DictConfig

from aestyle.entry import entry


@entry("replay")
def main(cfg: DictConfig) -> None:
    """Prints which phase, loss and gradient is first not finite; exit code 1 if it is not the one of the training."""
    from rich.console import Console

    from aestyle.studies.replaying import replay

    found = replay(cfg.run_dir, cfg.crash)
    Console().print(found.table())
    print(
        f"not finite before the iteration: {', '.join(found.before[:5])}" if found.before else "all was finite before"
    )
    print("reproduced" if found.is_reproduced else "not reproduced")
    if not found.is_reproduced:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
