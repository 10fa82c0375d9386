"""Where numbers stopped being numbers: told when it happens, kept with the crash, and compared when it is repeated."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn


@dataclass(frozen=True)
class Trouble:
    """The first step of an iteration that could not be taken.

    Args:
        phase: whose step.
        loss: the first value that the phase recorded and that is not finite; ``its sum`` if only what it minimises is
            not; empty if the loss is finite and only its gradients are not.
        parameter: the first parameter, network first, whose gradient is not finite.
    """

    phase: str
    loss: str
    parameter: str

    @property
    def network(self) -> str:
        """The network of :attr:`parameter`."""
        return self.parameter.partition(".")[0]


def find_trouble(
    phase: str, loss: Tensor, recorded: Mapping[str, Tensor], networks: Mapping[str, nn.Module]
) -> Trouble:
    """Looks for what is not finite once a gradient is known not to be.

    Args:
        phase: name of the phase.
        loss: what it minimises.
        recorded: values that it recorded, in their order.
        networks: those that it trains, with their gradients.
    """
    values = {**recorded, "its sum": loss}
    parameters = {f"{name}.{key}": p for name, network in networks.items() for key, p in network.named_parameters()}
    return Trouble(
        phase,
        next((name for name, value in values.items() if not value.isfinite().all()), ""),
        next((name for name, p in parameters.items() if p.grad is not None and not p.grad.isfinite().all()), ""),
    )


def not_finite(tensors: Mapping[str, Tensor]) -> list[str]:
    """Names of the tensors that are not finite everywhere."""
    return [name for name, tensor in tensors.items() if not tensor.isfinite().all()]
