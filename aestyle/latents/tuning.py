"""Pivotal tuning (Roich et al., arXiv:2106.05744): the generator bends a little, so that inverted codes fit better."""

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn

from aestyle.errors import UserError
from aestyle.latents.inversion import Weighted, total_distance
from aestyle.protocol import LatentModel

Model = TypeVar("Model", bound=nn.Module)


@dataclass(frozen=True)
class PivotalTuning:
    """Trains a copy of the generator on pictures whose codes, the pivots, stay as they are.

    The reference tunes with the sum of LPIPS and mean squared error, and leaves its locality regulariser off.

    Args:
        steps: passes over all pictures.
        lr: learning rate of Adam.

    Raises:
        UserError: a number cannot be.
    """

    steps: int = 350
    lr: float = 3e-4

    def __post_init__(self) -> None:
        """Looks at the numbers."""
        if self.steps < 1 or self.lr <= 0:
            raise UserError(f"tune: steps={self.steps} must be at least 1, lr={self.lr} above 0")

    def __call__(
        self,
        model: Model,
        codes: Tensor,
        images: Tensor,
        distances: Mapping[str, Weighted],
        space: str,
        batch_size: int = 16,
        progress: Callable[[], None] | None = None,
    ) -> tuple[Model, Tensor]:
        """Tunes a copy of a model; the model itself stays as it is.

        Only what decodes the widest space is tuned: synthesis networks and decoders, never F or E.

        Args:
            model: a trained model that offers latent spaces.
            codes: the pivots (N, *shape).
            images: what they should decode to (N, C, R, R) in [-1, 1].
            distances: what is to become small, by name.
            space: the pivots' space.
            batch_size: pictures of one step of Adam.
            progress: called after each pass.

        Returns:
            The tuned copy, and the loss of each picture in each pass, before its step: (steps, N), on the CPU.
        """
        tuned = deepcopy(model)
        assert isinstance(tuned, LatentModel)
        widest = list(tuned.spaces)[-1]
        pivots = tuned.convert_code(codes, space, widest).detach()
        batches = list(zip(pivots.split(batch_size), images.split(batch_size), strict=True))

        def losses(pivot: Tensor, target: Tensor) -> Tensor:
            return total_distance(target, tuned.decode(pivot, widest), distances)

        curve = []
        with torch.enable_grad():
            weights = _used(tuned.requires_grad_(), lambda: losses(pivots[:1], images[:1]).sum())
            adam = torch.optim.Adam(weights, lr=self.lr)
            for _ in range(self.steps):
                found = []
                for pivot, target in batches:
                    loss = losses(pivot, target)
                    for weight, gradient in zip(weights, torch.autograd.grad(loss.mean(), weights), strict=True):
                        weight.grad = gradient
                    adam.step()
                    found.append(loss.detach().cpu())
                curve.append(torch.cat(found))
                if progress:
                    progress()
        adam.zero_grad()
        return tuned.requires_grad_(False), torch.stack(curve)


def _used(model: nn.Module, loss: Callable[[], Tensor]) -> list[nn.Parameter]:
    """The parameters that a loss depends on."""
    parameters = list(model.parameters())
    gradients = torch.autograd.grad(loss(), parameters, allow_unused=True)
    return [p for p, gradient in zip(parameters, gradients, strict=True) if gradient is not None]
