"""Pictures that show less than a model can: what PULSE-like upsampling compares."""

from torch import Tensor
from torch.nn.functional import interpolate

from aestyle.errors import UserError
from aestyle.latents.inversion import Distance


def default_factor(resolution: int) -> int:
    """How much smaller the low-resolution pictures are: to 16 pixels a side, as 16 times at 256, but at least twice."""
    return max(2, resolution // 16)


def shrink(images: Tensor, factor: int) -> Tensor:
    """Every ``factor``-th pixel of each row and column, (N, C, H / factor, W / factor): nearest neighbour.

    Args:
        images: (N, C, H, W).
        factor: a divisor of H and W.

    Raises:
        UserError: it is none, or 1.
    """
    if factor < 2 or images.shape[-2] % factor or images.shape[-1] % factor:
        raise UserError(f"task.factor={factor}: give a divisor of {images.shape[-1]}, the pictures' size, from 2 on")
    return images[..., ::factor, ::factor]


def seen_from_afar(distance: Distance, factor: int) -> Distance:
    """A distance of pictures after :func:`shrink`; both are enlarged again by repeating pixels.

    Feature networks need the size: at 16 pixels their last maps have a single one (Menon et al., arXiv:2003.03808).
    """

    def far(images: Tensor) -> Tensor:
        return interpolate(shrink(images, factor), scale_factor=factor, mode="nearest")

    return lambda x, y: distance(far(x), far(y))
