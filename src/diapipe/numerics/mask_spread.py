"""How far a defect of an image reaches once the image is convolved."""

from __future__ import annotations

import numpy as np

from diapipe.numerics.arrays import Float32Array, MaskArray
from diapipe.numerics.jit import jit


@jit
def _scatter(
    mask: MaskArray, bits: int, filled: Float32Array, weight: Float32Array, share: Float32Array, error: Float32Array
) -> None:
    """Add every bad pixel's weight to ``share``, and its weight times its value to ``error``, around it."""
    height, width = mask.shape
    reach = weight.shape[0] // 2
    for y in range(height):
        for x in range(width):
            if mask[y, x] & bits == 0:
                continue
            value = abs(filled[y, x])
            for v in range(max(-reach, -y), min(reach, height - 1 - y) + 1):
                for u in range(max(-reach, -x), min(reach, width - 1 - x) + 1):
                    share[y + v, x + u] += weight[reach + v, reach + u]
                    error[y + v, x + u] += weight[reach + v, reach + u] * value


@jit
def _grow(
    mask: MaskArray,
    bits: int,
    weight: Float32Array,
    share: Float32Array,
    error: Float32Array,
    variance: Float32Array,
    max_share: float,
    max_error: float,
    out: MaskArray,
) -> None:
    """Give the planes of every bad pixel to those around it that it spoils."""
    height, width = mask.shape
    reach = weight.shape[0] // 2
    for y in range(height):
        for x in range(width):
            planes = mask[y, x] & bits
            if planes == 0:
                continue
            for v in range(max(-reach, -y), min(reach, height - 1 - y) + 1):
                for u in range(max(-reach, -x), min(reach, width - 1 - x) + 1):
                    yy, xx = y + v, x + u
                    spoiled = error[yy, xx] > max_error * np.sqrt(variance[yy, xx])
                    if spoiled or (share[yy, xx] > max_share and weight[reach + v, reach + u] > 0.01):
                        out[yy, xx] |= planes


def spread(
    mask: MaskArray,
    bits: int,
    filled: Float32Array,
    weight: Float32Array,
    variance: Float32Array,
    *,
    max_share: float,
    max_error: float,
) -> MaskArray:
    """A mask with every bad pixel's planes on the pixels that a convolution spoils with it.

    Parameters
    ----------
    mask, filled
        Planes before the convolution, and the pixels with what bad ones were filled with; one shape.
    bits
        Planes that make a pixel bad.
    weight
        |K| around its centre, flipped if K is not symmetric; of odd side.
    variance
        Of the result.
    max_share
        A pixel is spoiled where bad ones carry more than this part of the weight,
    max_error
        or where Σ |K| |filled| over them exceeds this many sigma.
    """
    share = np.zeros(mask.shape, np.float32)
    error = np.zeros(mask.shape, np.float32)
    out = mask.copy()
    small = np.ascontiguousarray(weight, dtype=np.float32)
    _scatter(mask, bits, filled, small, share, error)
    _grow(mask, bits, small, share, error, variance, max_share, max_error, out)
    return out
