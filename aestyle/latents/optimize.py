"""Optimisation of codes, never of networks: one loop that knows codes and losses, and what is built on it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from aestyle.errors import UserError
from aestyle.protocol import LatentModel

Loss = Callable[[Tensor, Tensor], Tensor]
"""Codes (N, ...) and their images (N, C, R, R) to one loss a picture, (N,)."""

Perceptual = Callable[[Tensor, Tensor], Tensor]
"""Target images and others to their distance, averaged over the batch: a scalar."""


@dataclass(frozen=True)
class Optimized:
    """What came out of an optimisation.

    Args:
        codes: the last codes (N, ...).
        curves: each weighted loss before the first, ..., before the last step and at the end: (steps + 1, N), on the
            CPU. ``total`` is their sum.
    """

    codes: Tensor
    curves: dict[str, Tensor]


def optimize(
    codes: Tensor,
    decode: Callable[[Tensor], Tensor],
    losses: Mapping[str, Loss],
    steps: int,
    lr: float | Callable[[int], float],
    progress: Callable[[int], None] | None = None,
    prepare: Callable[[int, Tensor], None] | None = None,
) -> Optimized:
    """Minimises the sum of losses over codes with Adam (default betas), every picture for itself.

    The pictures' losses are added, not averaged, so that a picture's gradient and way do not depend on the others in
    its batch. Only the codes take gradients: networks keep theirs and their flags.

    Args:
        codes: where to start, (N, ...).
        decode: codes to images; differentiable.
        losses: what to minimise, by name, with their weights in them.
        steps: number of Adam steps.
        lr: learning rate, or that of each step, counted from 0.
        progress: called after each step with the number of steps done.
        prepare: called before each step with its number and the codes, which it may change in place; before the last
            curves' values it is called with ``steps``.
    """
    codes = codes.detach().clone().requires_grad_()
    adam = torch.optim.Adam([codes], lr=lr(0) if callable(lr) else lr)
    curves: dict[str, list[Tensor]] = {name: [] for name in (*losses, "total")}

    def total() -> Tensor:
        images = decode(codes)
        values = {name: loss(codes, images) for name, loss in losses.items()}
        values["total"] = torch.stack(list(values.values())).sum(dim=0)
        for name, value in values.items():
            curves[name].append(value.detach().cpu())
        return values["total"]

    with torch.enable_grad():
        for done in range(steps):
            if prepare:
                with torch.no_grad():
                    prepare(done, codes)
            if callable(lr):
                adam.param_groups[0]["lr"] = lr(done)
            (codes.grad,) = torch.autograd.grad(total().sum(), codes)
            adam.step()
            if progress:
                progress(done + 1)
    with torch.no_grad():
        if prepare:
            prepare(steps, codes)
        total()
    return Optimized(codes.detach(), {name: torch.stack(curve) for name, curve in curves.items()})


def join(parts: Sequence[Optimized]) -> Optimized:
    """One batch of pictures after the other."""
    curves = {name: torch.cat([part.curves[name] for part in parts], dim=1) for name in parts[0].curves}
    return Optimized(torch.cat([part.codes for part in parts]), curves)


def best_of(tries: Sequence[Optimized]) -> Optimized:
    """For each picture the try that ended with the least total."""
    chosen = torch.stack([each.curves["total"][-1].nan_to_num(torch.inf) for each in tries]).argmin(dim=0)
    pictures = torch.arange(len(chosen))
    codes = torch.stack([each.codes for each in tries])[chosen, pictures]
    curves = {name: torch.stack([t.curves[name] for t in tries])[chosen, :, pictures].T for name in tries[0].curves}
    return Optimized(codes, curves)


@dataclass(frozen=True)
class InDomainLoss:
    """The loss of in-domain inversion's second stage (Zhu et al., arXiv:2004.00049).

    ``pixel mean|x - G(z)|^2 + perceptual h(x, G(z)) + domain mean|z - E(G(z))|^2``; each mean is over all elements of
    one picture or code.

    Args:
        pixel: weight of the mean squared error.
        perceptual: weight of the perceptual distance. The reference's 5e-5 belongs to raw VGG16 features, 0.1 to the
            offline network's normalised ones.
        domain: weight of the code's distance from what the encoder makes of its image; 0 leaves it out.

    Raises:
        UserError: a weight is negative.
    """

    pixel: float = 1.0
    perceptual: float = 0.1
    domain: float = 2.0

    def __post_init__(self) -> None:
        """Looks at the weights."""
        for name, weight in vars(self).items():
            if not isinstance(weight, int | float) or weight < 0:
                raise UserError(f"weights.{name}={weight}: give 0 or more")

    def terms(
        self, model: LatentModel, images: Tensor, perceptual: Perceptual | None, space: str | None = None
    ) -> dict[str, Loss]:
        """The weighted terms that count, for the optimiser.

        Args:
            model: a trained model with an encoder.
            images: targets (N, C, R, R) in [-1, 1].
            perceptual: perceptual distance; None leaves its term out. It answers for a batch: the mean counts for
                each picture, whose gradient is its own all the same.
            space: space of the codes; None: the model's own.
        """

        def pixel(codes: Tensor, rec: Tensor) -> Tensor:
            return self.pixel * (images - rec).square().flatten(1).mean(dim=1)

        def distance(codes: Tensor, rec: Tensor) -> Tensor:
            assert perceptual is not None
            return self.perceptual * perceptual(images, rec).expand(len(images))

        def domain(codes: Tensor, rec: Tensor) -> Tensor:
            again = model.convert_code(model.encode(rec), model.code_space, space or model.code_space)
            return self.domain * (codes - again).square().flatten(1).mean(dim=1)

        terms: dict[str, Loss] = {"pixel": pixel}
        if perceptual is not None and self.perceptual > 0:
            terms["perceptual"] = distance
        if self.domain > 0:
            terms["domain"] = domain
        return terms


def refine(
    model: LatentModel,
    images: Tensor,
    perceptual: Perceptual | None,
    weights: InDomainLoss | None = None,
    steps: int = 100,
    lr: float = 0.01,
    space: str | None = None,
    progress: Callable[[int], None] | None = None,
) -> Optimized:
    """Refines E(x) so that G comes closer to x and the code stays where the encoder would put it.

    Args:
        model: a trained model with an encoder.
        images: targets (N, C, R, R) in [-1, 1], on the model's device.
        perceptual: perceptual distance, as :class:`~aestyle.metrics.perceptual.PerceptualLoss`; None leaves it out.
        weights: weights of the loss; None: those of in-domain inversion.
        steps: number of steps; the reference takes 100.
        lr: learning rate; the reference's is 0.01.
        space: space of the codes, the model's own or a wider one; None: the model's own.
        progress: called after each step with the number of steps done.

    Returns:
        The codes, and the curves ``pixel``, ``perceptual``, ``domain`` and ``total``.

    Raises:
        UserError: the model has no encoder.
    """
    space = space or model.code_space
    with torch.no_grad():
        start = model.convert_code(model.encode(images), model.code_space, space)
    terms = (weights or InDomainLoss()).terms(model, images, perceptual, space)
    return optimize(start, lambda codes: model.decode(codes, space), terms, steps, lr, progress)
