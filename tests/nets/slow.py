"""Slow, literal forms of the layers on numpy arrays: loops over samples and channels, explicit zeros, no folding."""

import math

import numpy as np
from numpy.typing import NDArray
from scipy.signal import convolve2d, correlate2d

Array = NDArray[np.float64]
BLUR = np.outer([1.0, 3.0, 3.0, 1.0], [1.0, 3.0, 3.0, 1.0]) / 64


def insert_zeros(x: Array, up: int) -> Array:
    """Each pixel of (H, W) followed by ``up - 1`` zeros, also the last one."""
    out = np.zeros((x.shape[0] * up, x.shape[1] * up))
    out[::up, ::up] = x
    return out


def upfirdn(x: Array, kernel: Array, up: int = 1, down: int = 1, pad: tuple[int, int] = (0, 0)) -> Array:
    """Upsamples by zeros, pads, filters and keeps every ``down``-th pixel of (N, C, H, W)."""
    planes = [[convolve2d(np.pad(insert_zeros(p, up), pad), kernel, "valid")[::down, ::down] for p in n] for n in x]
    return np.array(planes)


def conv(x: Array, weight: Array, padding: int, stride: int = 1) -> Array:
    """Cross-correlates one image (in, H, W) with (out, in, k, k)."""
    x = np.pad(x, ((0, 0), (padding, padding), (padding, padding)))
    return np.array([sum(correlate2d(p, k, "valid") for p, k in zip(x, o, strict=True)) for o in weight])[
        :, ::stride, ::stride
    ]


def conv_transpose(x: Array, weight: Array) -> Array:
    """Transposed convolution of one image (in, H, W), stride 2, no padding: (out, 2H + k - 2, ...)."""
    margin = weight.shape[-1] - 1
    spread = [np.pad(insert_zeros(p, 2)[:-1, :-1], margin) for p in x]
    return np.array([sum(convolve2d(p, k, "valid") for p, k in zip(spread, o, strict=True)) for o in weight])


def linear(x: Array, weight: Array, bias: Array, lr_mul: float = 1.0) -> Array:
    """Equalised linear layer without activation."""
    return x @ (weight * (lr_mul / math.sqrt(weight.shape[1]))).T + bias * lr_mul


def lrelu(x: Array) -> Array:
    """Leaky ReLU with gain sqrt(2)."""
    return np.where(x > 0, x, 0.2 * x) * math.sqrt(2)


def modulated_conv(x: Array, style: Array, weight: Array, up: bool = False, demodulate: bool = True) -> Array:
    """StyleGAN2's Equations 1 and 3: every sample gets weights of its own."""
    images = []
    for image, scales in zip(x, style, strict=True):
        own = weight / math.sqrt(weight[0].size) * scales[None, :, None, None]
        if demodulate:
            own = own / np.sqrt((own**2).sum(axis=(1, 2, 3), keepdims=True) + 1e-8)
        if up:
            images.append(upfirdn(conv_transpose(image, own)[None], BLUR * 4, pad=(1, 1))[0])
        else:
            images.append(conv(image, own, padding=weight.shape[-1] // 2))
    return np.array(images)


def minibatch_stddev(x: Array, group_size: int = 4) -> Array:
    """Statistics of strided groups, one group after the other."""
    n = len(x)
    group = max(g for g in range(1, min(group_size, n) + 1) if n % g == 0)
    channel = np.zeros((n, 1, *x.shape[2:]))
    for first in range(n // group):
        members = list(range(first, n, n // group))
        mean = sum(x[m] for m in members) / group
        variance = sum((x[m] - mean) ** 2 for m in members) / group
        channel[members] = np.sqrt(variance + 1e-8).mean()
    return np.concatenate([x, channel], axis=1)
