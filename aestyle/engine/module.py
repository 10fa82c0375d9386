"""The base of every method: runs its phases, keeps the clock, averages weights, saves and restores all of it."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from aestyle.engine.batchnorm import RunningStatistics
from aestyle.engine.distributed import OverlappedAverage, average_over_ranks, rank, world_size
from aestyle.engine.draws import Draws, KeyedDraws
from aestyle.engine.ema import EmaSettings, frozen_copy, update_ema
from aestyle.engine.passes import Passes
from aestyle.engine.phases import Lazy, Phase, Step, adam, only_trainable
from aestyle.engine.trouble import Trouble, find_trouble
from aestyle.errors import TrainingAborted, UserError

SCHEMA = 1
"""Version of what a checkpoint holds under the key ``aestyle``."""


class PhasedModule(pl.LightningModule):
    """Trains networks by phases.

    A subclass sets its networks as attributes named in ``network_names``, says which of them are averaged
    (:meth:`average`) and which optimizer steps which (``optimizer_groups``), and lists its phases.

    Args:
        name: the method's name, for messages, run folders and checkpoints.
        seed: keys every draw of the training.
        lr: Adam's learning rate.
        betas: Adam's decay rates per iteration.
        ema: how fast averaged weights follow.
        max_grad_norm: clips the gradient norm of each step; None does not.
        max_bad_steps: this many steps of one phase in a row with non-finite gradients abort the training.
    """

    network_names: tuple[str, ...] = ()
    has_encoder: bool = False
    frozen: tuple[str, ...] = ()
    """Networks that are never trained: they are taken from another run."""
    needs_init: bool = False
    """Whether training makes sense only on top of another run, given with ``init_from``."""
    batches_per_iteration: int = 1

    def __init__(
        self,
        name: str = "method",
        seed: int = 0,
        lr: float = 0.002,
        betas: tuple[float, float] = (0.0, 0.99),
        ema: EmaSettings | None = None,
        max_grad_norm: float | None = None,
        max_bad_steps: int = 20,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.name = name
        self.seed = seed
        self.lr = lr
        self.betas = (float(betas[0]), float(betas[1]))
        self.ema_settings = ema or EmaSettings()
        self.max_grad_norm = max_grad_norm
        self.max_bad_steps = max_bad_steps
        self.ema = nn.ModuleDict()
        self.config_yaml = ""
        """The run's configuration, carried into every checkpoint."""
        self.images_seen = 0
        self.images_before = 0
        """The clock before the last iteration."""
        self.batches_seen = 0
        self.bad_steps = 0
        self.bad_steps_in_a_row: dict[str, int] = {}
        """For each phase: one network can be lost while the others stay finite."""
        self.trouble: Trouble | None = None
        """The first step of the last iteration that could not be taken; None if all could."""
        self.batch_stats: dict[str, float] = {}
        """What the last iteration recorded, averaged over repetitions and ranks."""
        self._recorded: dict[str, list[Tensor]] = {}
        self._recorded_by_phase: dict[str, Tensor] = {}
        self.passes = Passes()
        """How networks are run in training."""
        self.scaler: torch.amp.GradScaler | None = None
        """The loss scale of float16; :class:`~aestyle.engine.scaling.PhaseScaling` sets it."""

    # -- what a method says ------------------------------------------------------------------------------------------

    def phases(self) -> Sequence[Phase]:
        """The phases of one iteration, in order."""
        raise NotImplementedError

    @property
    def resolution(self) -> int:
        """Height and width of the images, in pixels."""
        raise NotImplementedError

    @property
    def channels(self) -> int:
        """1 for grey pictures, 3 for RGB."""
        raise NotImplementedError

    def encode(self, x: Tensor) -> Tensor:
        """Codes of images; see :class:`aestyle.protocol.Autoencoder`."""
        raise NotImplementedError

    def decode(self, code: Tensor, space: str | None = None) -> Tensor:
        """Images of codes; see :class:`aestyle.protocol.Autoencoder`."""
        raise NotImplementedError

    def prior(self, n: int, seed: int = 0) -> Tensor:
        """Codes of :meth:`sample`, in space ``z``."""
        raise NotImplementedError

    def sample(self, n: int, seed: int = 0) -> Tensor:
        """Images of the prior; see :class:`aestyle.protocol.Autoencoder`."""
        raise NotImplementedError

    def latent_values(self, x: Tensor) -> dict[str, Tensor]:
        """What is shown of the codes of images, as histograms, by name: of a method with an encoder, the codes."""
        return {"codes": self.encode(x)} if self.has_encoder else {}

    def optimizer_groups(self) -> Mapping[str, tuple[tuple[str, ...], Lazy | None]]:
        """For each optimizer its networks and the lazy regulariser that gives it additional steps."""
        raise NotImplementedError

    def batch_sizes(self, batch_size: int) -> Mapping[int, int]:
        """Images an iteration over all ranks: for each ``images_seen`` from which on a size holds, that size.

        Args:
            batch_size: what the run's configuration says.
        """
        return {0: batch_size}

    def milestones(self) -> Sequence[int]:
        """The ``images_seen`` at which other phases, or larger networks, begin; changes of the batch aside."""
        return ()

    def lr_factor(self) -> float:
        """What learning rates are multiplied with in this iteration: a function of the clock."""
        return 1.0

    def ema_decay(self, name: str, batch_size: int) -> float:
        """How much of an averaged network stays in this iteration; the clock has moved already.

        Args:
            name: of the network.
            batch_size: images of the iteration over all ranks.
        """
        return self.ema_settings.decay(batch_size, self.images_seen)

    # -- networks, averaged networks, optimizers ---------------------------------------------------------------------

    @property
    def networks(self) -> dict[str, nn.Module]:
        """The trained networks by name; those that an option leaves out are None."""
        found = {name: getattr(self, name, None) for name in self.network_names}
        return {name: network for name, network in found.items() if network is not None}

    def average(self, *names: str) -> None:
        """Keeps averaged copies of these networks in ``self.ema``; a subclass calls it once they are set."""
        self.ema.update({name: frozen_copy(self.networks[name]) for name in names})

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """One Adam for each group of networks."""
        return [
            adam(
                [p for name in names for p in self.networks[name].parameters()],
                self.lr_of(group),
                self.betas,
                lazy=lazy,
            )
            for group, (names, lazy) in self.optimizer_groups().items()
        ]

    def lr_of(self, optimizer: str) -> float:
        """The learning rate of one of ``optimizer_groups``."""
        return self.lr

    def _optimizers_of(self, phase: Phase) -> list[Any]:
        optimizers = self.optimizers()
        optimizers = optimizers if isinstance(optimizers, list) else [optimizers]
        groups = self.optimizer_groups()
        named = dict(zip(groups, optimizers, strict=True))
        if phase.optimizer:
            return [named[phase.optimizer]]
        return [named[name] for name, (networks, _) in groups.items() if set(networks) & set(phase.networks)]

    # -- one iteration -----------------------------------------------------------------------------------------------

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        """Runs every phase that is due, then moves the clock and the averaged weights.

        Args:
            batch: ``image``: (repeats * N, C, H, W) in [-1, 1], one sub-batch after the other.
            batch_idx: Lightning's counter, not used.
        """
        sub_batches = batch["image"].to(self.dtype).chunk(self.batches_per_iteration)
        self._recorded = {}
        self.trouble = None
        with self.passes.of([*self.networks.values(), *self.ema.values()], sub_batches[0].device):
            for phase in self.phases():
                if self.batches_seen % phase.every == 0:
                    for repeat in range(phase.repeat):
                        real = sub_batches[repeat % len(sub_batches)]
                        self.run_phase(phase, Step(real, self.draws(phase.name, repeat, sub_batches[0])))
        batch_size = len(sub_batches[0]) * world_size()
        self.images_before = self.images_seen
        self.images_seen += batch_size
        self.batches_seen += 1
        for name, averaged in self.ema.items():
            update_ema(averaged, self.networks[name], self.ema_decay(name, batch_size))
        self.batch_stats = self._reduce_recorded()

    def draws(self, phase: str, repeat: int, images: Tensor) -> Draws:
        """Random numbers keyed to one phase and repetition of the current iteration.

        Args:
            phase: name of the phase.
            repeat: repetition inside the iteration.
            images: this rank's images; rank r holds every ``world_size``-th sample of the global batch from r on.
        """
        offsets = rank() + world_size() * torch.arange(len(images), device=images.device)
        return KeyedDraws(self.seed, phase, repeat, self.images_seen + offsets, self.images_seen, images.dtype)

    def run_phase(self, phase: Phase, step: Step) -> None:
        """The one place where weights change: loss, backward, reduce, unscale, check, clip, step, restore.

        A phase whose networks are frozen altogether has nothing to do. Running statistics move with the weights: those
        of other networks stay, and all of them (the method's own as well) if no step is taken.
        """
        if not any(p.requires_grad for name in phase.networks for p in self.networks[name].parameters()):
            return
        optimizers = self._optimizers_of(phase)
        statistics = {name: RunningStatistics(network) for name, network in self.networks.items()}
        own_statistics = dict(self._buffers)
        self._recorded_by_phase = {}
        for optimizer in optimizers:
            optimizer.zero_grad(set_to_none=True)
        with only_trainable(self.networks, phase.networks):
            loss = phase.loss(step)
            trained = [p for name in phase.networks for p in self.networks[name].parameters() if p.requires_grad]
            with OverlappedAverage(trained):  # before anyone looks at them, so that all ranks decide alike
                self.manual_backward(loss)
        parameters = [p for p in trained if p.grad is not None]
        scale = self._unscale(optimizers)
        norm = torch.nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
        finite = self._is_finite(phase, loss, norm, scale)
        if finite:
            if self.max_grad_norm is not None:
                torch.nn.utils.clip_grads_with_norm_(parameters, self.max_grad_norm, norm)
            for optimizer in optimizers:
                for group in optimizer.param_groups:
                    group["lr"] = optimizer.defaults["lr"] * self.lr_factor()
                optimizer.step()
        self._restore(statistics, own_statistics, moved=phase.networks if finite else ())
        for optimizer in optimizers:
            optimizer.zero_grad(set_to_none=True)

    def _restore(
        self, statistics: Mapping[str, RunningStatistics], own: Mapping[str, Tensor | None], moved: Sequence[str]
    ) -> None:
        """Puts statistics back, but for those of the networks that a step has moved."""
        for name, before in statistics.items():
            if name not in moved:
                before.restore()
        if not moved:
            self._buffers.update(own)

    def gradients(
        self, output: Tensor, inputs: Sequence[Tensor], at: Tensor | None = None, retain_graph: bool | None = None
    ) -> tuple[Tensor, ...]:
        """First derivatives inside of a loss: ``torch.autograd.grad``, under the loss scale where there is one.

        Args:
            output: what is differentiated: a scalar, unless ``at`` is given.
            inputs: with respect to what.
            at: gradient with respect to ``output``, of its shape.
            retain_graph: whether the graph is used again.
        """
        if self.scaler is None:
            return torch.autograd.grad(output, inputs, at, retain_graph=retain_graph)
        scale = self.scaler.get_scale()
        at = torch.ones_like(output) if at is None else at
        return tuple(g / scale for g in torch.autograd.grad(output, inputs, at * scale, retain_graph=retain_graph))

    def _unscale(self, optimizers: Sequence[Any]) -> float:
        """Takes the loss scale out of the gradients and moves it: down, where one of them is not finite.

        Returns:
            What the gradients were divided by; 1 without a loss scale.
        """
        if self.scaler is None:
            return 1.0
        scale = self.scaler.get_scale()
        self.record("health/loss_scale", torch.tensor(scale))
        for optimizer in optimizers:
            self.scaler.unscale_(getattr(optimizer, "optimizer", optimizer))  # Lightning wraps it
        self.scaler.update()
        return scale

    def _is_finite(self, phase: Phase, loss: Tensor, norm: Tensor, scale: float) -> bool:
        """Whether a step may be taken; counts those that may not, and gives up after too many in a row.

        Under a loss scale above 1 that scale is to blame, which is lower the next time.
        """
        if torch.isfinite(norm):
            self.bad_steps_in_a_row[phase.name] = 0
            self.record(f"grad_norm/{phase.name}", norm)
            return True
        if scale > 1:
            return False
        trained = {name: self.networks[name] for name in phase.networks}
        self.trouble = self.trouble or find_trouble(phase.name, loss, self._recorded_by_phase, trained)
        self.bad_steps += 1
        in_a_row = self.bad_steps_in_a_row[phase.name] = self.bad_steps_in_a_row.get(phase.name, 0) + 1
        if in_a_row >= self.max_bad_steps:
            raise TrainingAborted(
                f"training aborted at {self.images_seen / 1000:.3f} kimg: the gradients of phase {phase.name} were not "
                f"finite {in_a_row} times in a row; restart from the last checkpoint with a lower "
                "method.lr or a method.max_grad_norm"
            )
        return False

    def may_abort(self) -> bool:
        """Whether the next iteration could be the one that ends the training for steps that cannot be taken."""
        return any(
            self.bad_steps_in_a_row.get(phase.name, 0) + phase.repeat >= self.max_bad_steps
            for phase in self.phases()
            if self.batches_seen % phase.every == 0
        )

    # -- statistics --------------------------------------------------------------------------------------------------

    def record(self, name: str, value: Tensor) -> None:
        """Keeps a scalar of this iteration; several of one name are averaged, also over ranks."""
        mean = value.detach().float().mean()
        self._recorded.setdefault(name, []).append(mean)
        self._recorded_by_phase.setdefault(name, mean)

    def record_spread(self, codes: Tensor) -> None:
        """Records how far the codes (N, ...) of a batch differ: half of their dimensions do less than this."""
        if len(codes) > 1:
            codes = codes.detach().to(torch.promote_types(codes.dtype, torch.float32)).flatten(1)
            self.record("health/code_spread", codes.std(dim=0, correction=0).median())

    def _reduce_recorded(self) -> dict[str, float]:
        names = sorted(self._recorded)
        if not names:
            return {}
        means = torch.stack([torch.stack([v.to(self.device) for v in self._recorded[name]]).mean() for name in names])
        values = average_over_ranks([means])[0].tolist()
        stats = dict(zip(names, values, strict=True))
        return {**stats, "health/bad_steps": float(self.bad_steps)}

    # -- checkpoints -------------------------------------------------------------------------------------------------

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Adds the counters and the configuration, as plain values."""
        checkpoint["aestyle"] = {
            "schema": SCHEMA,
            "method": self.name,
            "config": self.config_yaml,
            "images_seen": self.images_seen,
            "batches_seen": self.batches_seen,
            "bad_steps": self.bad_steps,
            "bad_steps_in_a_row": dict(self.bad_steps_in_a_row),
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restores the counters.

        Raises:
            UserError: the checkpoint is of another method or of a newer version.
        """
        state = checkpoint.get("aestyle", {})
        if state.get("method") != self.name or state.get("schema", 0) > SCHEMA:
            raise UserError(
                f"the checkpoint is of {state.get('method', 'another program')} (schema {state.get('schema', '?')}), "
                f"not of {self.name} (schema {SCHEMA}): give a checkpoint or run folder of this method"
            )
        self.images_seen = state["images_seen"]
        self.batches_seen = state["batches_seen"]
        self.bad_steps = state["bad_steps"]
        self.bad_steps_in_a_row = state["bad_steps_in_a_row"]
