"""What both of two ranks do, one job after the other; started once by test_ddp, which looks at what they leave.

Every method is trained by the function behind the command, in float64: once to its end, and once dropped on the way.
"""

import random
import sys
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
import torch.distributed as dist
from omegaconf import DictConfig

from aestyle.engine.distributed import check_replicas, rank
from aestyle.engine.module import PhasedModule
from aestyle.studies.training import train
from tests.engine import pair_checks
from tests.engine.dropping import HOOKS, train_dropped
from tests.methods.test_every_method import ADA
from tests.tiny import METHODS, STYLEGANS, compose_tiny

BATCHES = 5

OPTIONS = {
    **{method: f"method={method}" for method in METHODS},
    "joint_ae-ada": f"method=joint_ae {ADA}",
    "iaae-prior": "method=iaae method/variants=[kld_loss] method.kld.from_prior=true method/backbone=conv",
}

CHECKS: dict[str, Callable[[], None]] = {
    name: check
    for name, check in vars(pair_checks).items()
    if name.startswith("check_") and check is not check_replicas
}


def config(case: str, folder: Path, *overrides: str) -> DictConfig:
    """Five batches of 16 with R1, path length, adaptive beta and averages, in float64.

    Args:
        case: key of ``OPTIONS``.
        folder: holds ``generator``, a trained StyleGAN2, for the method that starts from one.
        overrides: the trainer, and whatever else.
    """
    method = OPTIONS[case].split()[0].removeprefix("method=")
    options = [*OPTIONS[case].split(), "batch_size=16", f"kimg={BATCHES * 0.016}", "trainer.precision=64-true"]
    if method in STYLEGANS:
        options += ["method.r1.every=2"]
    if method == "two_stage":
        options += [f"init_from={folder / 'generator'}"]
    if "perceptual" in compose_tiny(f"method={method}").method:
        options += ["method.perceptual=null"]  # the feature network computes in float32
    return compose_tiny(*options, *overrides)


def train_twice(case: str, folder: Path, seed: str) -> None:
    """Leaves ``straight`` and ``dropped`` below the case's folder, with the end of each on each rank."""
    cfg = config(case, folder, "trainer=ddp_cpu")
    straight, dropped = folder / case / "straight", folder / case / "dropped"
    method = train(cfg, straight)
    assert method is not None
    save(method, straight)
    moment = random.Random(f"{seed} {case}")  # the same one on both ranks
    save(train_dropped(cfg, dropped, moment.randrange(1, BATCHES), moment.choice(HOOKS)), dropped)


def save(method: PhasedModule, run_dir: Path) -> None:
    """This rank's whole state."""
    optimizers = [optimizer.state_dict() for optimizer in method.trainer.optimizers]
    torch.save({"weights": method.state_dict(), "optimizers": optimizers}, run_dir / f"rank{rank()}.pt")


def report(folder: Path, job: str, said: str) -> None:
    """Leaves this rank's word on a job for :func:`said`."""
    (folder / f"{job}.{rank()}.txt").write_text(said, encoding="utf-8")


def said(folder: Path, job: str) -> str:
    """What the ranks reported of a job; empty if all went well."""
    words = [path.read_text(encoding="utf-8") for path in sorted(folder.glob(f"{job}.?.txt"))]
    return "\n".join(word for word in words if word) if len(words) == 2 else f"{job} was not reached by both ranks"


def main(folder: Path, seed: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    jobs: dict[str, Callable[[], None]] = {case: partial(train_twice, case, folder, seed) for case in OPTIONS}
    for name, job in (jobs | CHECKS).items():
        try:
            job()
        except BaseException:
            report(folder, name, traceback.format_exc())
            raise  # the other rank may be elsewhere: nothing that they did together from here on would mean anything
        report(folder, name, "")
    dist.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
