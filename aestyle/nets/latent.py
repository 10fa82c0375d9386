"""Networks on codes."""

from torch import Tensor, nn

from aestyle.nets.layers import EqualizedLinear, pixel_norm


class LatentDiscriminator(nn.Sequential):
    """A discriminator of codes: equalised linear layers with leaky ReLUs between them.

    Args:
        style_dim: width of one style.
        num_codes: styles in a code.
        width: width of the hidden layers.
        depth: number of linear layers.
        lr_mul: learning rate of the layers relative to others.
        activate_last: a leaky ReLU follows the logit too, as in the official code, which shrinks negative logits by 5.
        normalize: codes are scaled to unit mean square first.
    """

    def __init__(
        self,
        style_dim: int,
        num_codes: int = 1,
        width: int = 512,
        depth: int = 3,
        lr_mul: float = 0.1,
        activate_last: bool = False,
        normalize: bool = False,
    ) -> None:
        widths = [num_codes * style_dim, *[width] * (depth - 1), 1]
        super().__init__(
            *(
                EqualizedLinear(widths[i], widths[i + 1], lr_mul=lr_mul, activate=activate_last or i < depth - 1)
                for i in range(depth)
            )
        )
        self.normalize = normalize

    def forward(self, codes: Tensor) -> Tensor:
        """Maps codes (N, num_codes, style_dim), also flattened, to logits (N, 1)."""
        codes = codes.flatten(1)
        return super().forward(pixel_norm(codes) if self.normalize else codes)
