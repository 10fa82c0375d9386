"""Networks on codes."""

from torch import Tensor, nn

from aestyle.errors import UserError
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
        self.numbers = widths[0]

    def forward(self, codes: Tensor) -> Tensor:
        """Maps codes (N, num_codes, style_dim), also flattened, to logits (N, 1).

        Raises:
            UserError: codes have another size.
        """
        codes = codes.flatten(1)
        if codes.shape[1] != self.numbers:
            raise UserError(
                f"a discriminator of codes of {self.numbers} numbers was given {codes.shape[1]}: set its num_codes to "
                "the number of styles in a code, for style matrices to their rows"
            )
        return super().forward(pixel_norm(codes) if self.normalize else codes)
