"""What a computation costs, counted without doing it: floating-point operations, and memory at its peak."""

import weakref
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry


class Meter(TorchDispatchMode):
    """Counts what happens inside, on real tensors and on the ``meta`` device alike.

    Torch's own ``FlopCounterMode`` follows modules with hooks that refuse ``torch.autograd.grad``, which regularisers
    are made of; its formulas are used without them.

    ``flops`` are those of convolutions and matrix products by torch's own formulas (``torch.utils.flop_counter``), a
    multiplication with its addition as two. ``traffic`` is the bytes that every operation but views reads and writes,
    which is what element-by-element operations cost. ``peak`` is the most bytes that
    tensors which were made inside held at a time: activations kept for the backward pass, gradients, intermediates.
    """

    def __init__(self) -> None:
        super().__init__()
        self.flops = 0
        self.traffic = 0
        self.live = 0
        self.peak = 0
        self._known: dict[int, weakref.ref[torch.UntypedStorage]] = {}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        given = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        for tensor in given:
            if tensor.untyped_storage()._cdata not in self._known:
                self._note(tensor.untyped_storage(), 0)  # it was there before
        out = func(*args, **(kwargs or {}))
        if formula := flop_registry.get(func._overloadpacket):
            self.flops += formula(*args, **(kwargs or {}), out_val=out)
        made = [leaf for leaf in tree_leaves(out) if isinstance(leaf, Tensor)]
        if not func.is_view:
            self.traffic += sum(tensor.nbytes for tensor in (*given, *made))
        for tensor in made:
            if tensor.untyped_storage()._cdata not in self._known:
                self._note(tensor.untyped_storage(), tensor.untyped_storage().nbytes())
        return out

    def _note(self, storage: torch.UntypedStorage, size: int) -> None:
        key = storage._cdata
        self.live += size
        self.peak = max(self.peak, self.live)

        def forget(_: Any) -> None:
            self.live -= size
            self._known.pop(key, None)

        self._known[key] = weakref.ref(storage, forget)
