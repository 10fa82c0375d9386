"""Warns when the numbers of a training look like a collapse; docs/health.md says what helps."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytorch_lightning as pl

from aestyle.engine.callbacks import Cadence, method_of

GAMES = (("loss/D", "score/real", "score/fake"), ("loss/D2", "score/real_D2", "score/rec"))
"""Of each discriminator: its loss, its scores of what is real to it and of what is not."""

LEAST_LEAD = 2.0
"""Logits between real and fake, below which no discriminator has won: losses of Wasserstein's kind pass through 0."""

DISTANCE = "distance of "

BLIND = 1e-5
"""Logits between real and fake, below which a discriminator gives the same answer to everything."""


@dataclass(frozen=True)
class Thresholds:
    """When an alarm goes off, on means over a window; null switches one off.

    Args:
        d_wins: D's loss is below this (2 ln 2 = 1.39 where it cannot tell); logistic losses only.
        d_loses: D gives samples this many logits more than pictures, or everything the same answer.
        same_samples: samples of fixed codes differ this little, as part of what real pictures differ.
        flat_codes: half of the dimensions of the codes have a smaller standard deviation over the pictures of a batch.
        no_sigma: the mean sigma of the codes is below this.
        beta_at_bound: adaptive beta is above this.
        ada_at_bound: ADA's p is above this.
    """

    d_wins: float | None = 0.1
    d_loses: float | None = 0.5
    same_samples: float | None = 0.05
    flat_codes: float | None = 0.01
    no_sigma: float | None = 0.01
    beta_at_bound: float | None = 9900.0
    ada_at_bound: float | None = 0.999


Means = Mapping[str, float]
Found = tuple[bool, str]


class Alarms(pl.Callback):
    """Looks at the means of what the method records over windows, and warns once when a window is bad.

    ``health/alarm_<name>`` is 1 from then on and 0 again after a good window; an alarm that never went off is left out.
    The sums are part of the checkpoint. It must come behind what adds to the iteration's values, and before what
    writes them.

    Args:
        every_kimg: length of a window.
        thresholds: when to warn.
    """

    def __init__(self, every_kimg: float, **thresholds: float | None) -> None:
        self.cadence = Cadence(every_kimg)
        self.every_kimg = every_kimg
        self.thresholds = Thresholds(**thresholds)
        self.sums: dict[str, list[float]] = {}
        self.on: dict[str, bool] = {}
        """Every alarm that ever went off, and whether it is on."""

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Adds the iteration's values, judges a window that is over, shows what is on."""
        method = method_of(pl_module)
        for name, value in {**method.batch_stats, **_distances(method.batch_stats)}.items():
            entry = self.sums.setdefault(name, [0.0, 0.0])
            entry[0] += value
            entry[1] += 1
        if self.cadence.due(method.images_before, method.images_seen):
            means = {name: total / count for name, (total, count) in self.sums.items()}
            self.sums = {}
            for line in self._judge(means):
                if trainer.is_global_zero:
                    print(f"{method.images_seen / 1000:g} kimg: warning: {line} (docs/health.md)", flush=True)
        method.batch_stats.update({f"health/alarm_{name}": float(on) for name, on in self.on.items()})

    def _judge(self, means: Means) -> list[str]:
        """Switches alarms on and off; gives back what is to be said of those that were off."""
        said = []
        for name, judge in JUDGES.items():
            threshold = getattr(self.thresholds, name)
            found = None if threshold is None else judge(means, threshold)
            if found is None:  # not measured in this window
                continue
            is_bad, line = found
            if is_bad and not self.on.get(name):
                said.append(f"{line}, over {self.every_kimg:g} kimg")
            if is_bad or name in self.on:
                self.on[name] = is_bad
        return said

    def state_dict(self) -> dict[str, Any]:
        """The running sums and what is on."""
        return {"sums": {name: list(entry) for name, entry in self.sums.items()}, "on": dict(self.on)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores them."""
        self.sums = {name: list(entry) for name, entry in state_dict["sums"].items()}
        self.on = dict(state_dict["on"])


def _leads(values: Means) -> dict[str, float]:
    """How many logits real is above fake, for each discriminator's loss."""
    return {loss: values[real] - values[fake] for loss, real, fake in GAMES if {loss, real, fake} <= values.keys()}


def _distances(values: Means) -> dict[str, float]:
    """How far apart real and fake are in one iteration, whichever is ahead."""
    return {f"{DISTANCE}{loss}": abs(lead) for loss, lead in _leads(values).items()}


def _d_wins(means: Means, least: float) -> Found | None:
    leads = _leads(means)
    won = [loss for loss, lead in leads.items() if lead > LEAST_LEAD and 0 <= means[loss] < least]
    told = ", ".join(f"{loss} is {means[loss]:.3g}" for loss in won)
    return (bool(won), f"the discriminator wins: {told}") if leads else None


def _d_loses(means: Means, most: float) -> Found | None:
    leads = _leads(means)
    lost = [loss for loss, lead in leads.items() if lead < -most or means[f"{DISTANCE}{loss}"] < BLIND]
    told = ", ".join(f"real minus fake is {leads[loss]:.3g} for {loss}" for loss in lost)
    return (bool(lost), f"the discriminator loses: {told}") if leads else None


def _below(name: str, what: str) -> Callable[[Means, float], Found | None]:
    return lambda means, least: (means[name] < least, f"{what}: {name} is {means[name]:.3g}") if name in means else None


def _above(prefix: str, what: str) -> Callable[[Means, float], Found | None]:
    def judge(means: Means, most: float) -> Found | None:
        found = {name: value for name, value in means.items() if name.startswith(prefix)}
        name, value = max(found.items(), key=lambda item: item[1], default=("", 0.0))
        return (value > most, f"{what}: {name} is {value:.3g}") if found else None

    return judge


JUDGES: dict[str, Callable[[Means, float], Found | None]] = {
    "d_wins": _d_wins,
    "d_loses": _d_loses,
    "same_samples": _below("health/sample_spread", "samples are nearly the same"),
    "flat_codes": _below("health/code_spread", "most dimensions of the codes are the same for all pictures"),
    "no_sigma": _below("latent/sigma", "the codes have no sigma left"),
    "beta_at_bound": _above("health/beta", "adaptive beta is at its bound"),
    "ada_at_bound": _above("health/ada_p", "augmentation is as strong as it can be"),
}
"""For each alarm, from means and threshold: whether it goes off and what it says; None if nothing tells."""
