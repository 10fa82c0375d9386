"""Convolutions of spectral norm 1."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from aestyle.nets.convolution import conv2d
from aestyle.nets.layers import channels_last
from aestyle.nets.precision import full_precision


def padded_convolution(x: Tensor, weight: Tensor, bias: Tensor, padding: int) -> Tensor:
    """Convolution with zeros on every side; from a single pixel to a whole kernel of them without the zeros.

    Args:
        x: (N, in, H, W).
        weight: (out, in, k, k).
        bias: (out,).
        padding: zeros on every side.

    Returns:
        (N, out, H + 2 padding - k + 1, W + 2 padding - k + 1).
    """
    if x.shape[2:] == (1, 1) and padding == weight.shape[-1] - 1:
        return torch.einsum("ni, oihw -> nohw", x[:, :, 0, 0], weight.flip(2, 3)) + bias[:, None, None]
    return conv2d(x, weight, bias, padding=padding)


class SpectralConv2d(nn.Module):
    """Convolution whose weight, as a matrix (out, in * k * k), has the spectral norm 1 (Miyato et al., 2018).

    One power iteration a forward pass, without gradient, starts at the saved ``u``. Its result is kept only while the
    layer is being trained: evaluation and the steps of other networks leave ``u`` as it is.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: side of the kernel.
        padding: zeros on every side.
    """

    u: Tensor

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, padding: int) -> None:
        super().__init__()
        weight = torch.empty(out_channels, in_channels, kernel_size, kernel_size)
        self.weight = nn.Parameter(channels_last(nn.init.kaiming_normal_(weight)))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        self.register_buffer("u", F.normalize(torch.randn(out_channels), dim=0))
        self.padding = padding

    def forward(self, x: Tensor) -> Tensor:
        """Maps (N, in, H, W) to (N, out, H', W')."""
        return padded_convolution(x, self.weight / self.spectral_norm(), self.bias, self.padding)

    def spectral_norm(self) -> Tensor:
        """The estimate ``u' W v`` of the weight's largest singular value."""
        return self._power_iteration(self.weight.permute(0, 2, 3, 1).flatten(1))  # as it lies in memory

    @full_precision
    def _power_iteration(self, matrix: Tensor) -> Tensor:
        with torch.no_grad():
            v = F.normalize(matrix.t() @ self.u, dim=0)
            u = F.normalize(matrix @ v, dim=0)
            if self.training and self.weight.requires_grad:
                self.u.copy_(u)
        return u @ (matrix @ v)
