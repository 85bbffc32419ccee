"""Pixels of a block ready to be summed: unusable ones out, the others weighted by their expected precision.

The weights are 1 over the *local mean* of the variance V. A variance plane made from the counts themselves carries
their noise: E[D/V] is then about -1 electron per pixel, 2% of the flux of a 10-sigma source; a mean of 5x5 pixels makes
that 25 times smaller, and costs nothing where V is smooth.
"""

from __future__ import annotations

import numpy as np

from diapipe.numerics.arrays import Float32Array, MaskArray
from diapipe.numerics.jit import jit

MEAN_HALF = 2
"""Half-width of the square over which the variance is averaged for the weights: 5x5 pixels."""


@jit
def load_block(
    image: Float32Array,
    mask: MaskArray,
    variance: Float32Array,
    bits: int,
    y_first: int,
    x_first: int,
    values: Float32Array,
    spread: Float32Array,
    good: Float32Array,
) -> int:
    """Copy a block that may stick out of the image; unusable pixels, whose number it returns, become 0 everywhere."""
    n_rows, n_columns = image.shape
    height, width = values.shape
    values[:, :] = 0.0
    spread[:, :] = 0.0
    good[:, :] = 0.0
    low, high = max(0, -x_first), min(width, n_columns - x_first)
    bad_bits, huge, zero, one = np.int32(bits), np.float32(1e30), np.float32(0.0), np.float32(1.0)
    n_good = 0
    if high <= low:
        return int(height * width)
    for r in range(max(0, -y_first), min(height, n_rows - y_first)):
        y = y_first + r
        pixels, flags = image[y, x_first + low : x_first + high], mask[y, x_first + low : x_first + high]
        spreads = variance[y, x_first + low : x_first + high]
        to_values, to_spread, to_good = values[r, low:high], spread[r, low:high], good[r, low:high]
        n = 0
        for c in range(high - low):
            d, v = pixels[c], spreads[c]
            usable = ((flags[c] & bad_bits) == 0) & (abs(d) < huge) & (v > zero) & (v < huge)
            to_values[c] = d if usable else zero
            to_spread[c] = v if usable else zero
            to_good[c] = one if usable else zero
            n += 1 if usable else 0
        n_good += n
    return int(height * width - n_good)


@jit
def weigh(
    values: Float32Array, spread: Float32Array, good: Float32Array, d_w: Float32Array, v_w2: Float32Array
) -> None:
    """Fill ``d_w`` = w D and ``v_w2`` = w² V, smaller by `MEAN_HALF` a side, with w = 1 / (mean of usable V around)."""
    n_rows, n_columns = d_w.shape
    half, side = MEAN_HALF, 2 * MEAN_HALF + 1
    sum_v = np.empty(n_columns + 2 * half, np.float32)
    sum_g = np.empty(n_columns + 2 * half, np.float32)
    for r in range(n_rows):
        sum_v[:] = spread[r]
        sum_g[:] = good[r]
        for k in range(1, side):
            for c in range(n_columns + 2 * half):
                sum_v[c] += spread[r + k, c]
                sum_g[c] += good[r + k, c]
        for c in range(n_columns):
            total = sum_v[c] + sum_v[c + 1] + sum_v[c + 2] + sum_v[c + 3] + sum_v[c + 4]
            n = sum_g[c] + sum_g[c + 1] + sum_g[c + 2] + sum_g[c + 3] + sum_g[c + 4]
            weight = n / max(total, np.float32(1e-30))
            d_w[r, c] = weight * values[r + half, c + half]
            v_w2[r, c] = weight * weight * spread[r + half, c + half]


@jit
def local_weights(spread: Float32Array, good: Float32Array, weights: Float32Array) -> None:
    """Fill ``weights`` with 1 / (mean of V over the usable 5x5 pixels around); 0 on unusable pixels."""
    side = 2 * MEAN_HALF + 1
    for r in range(weights.shape[0]):
        for c in range(weights.shape[1]):
            weights[r, c] = 0.0
            if good[r + MEAN_HALF, c + MEAN_HALF] == 0.0:
                continue
            total, n = 0.0, 0.0
            for j in range(side):
                for i in range(side):
                    total += spread[r + j, c + i]
                    n += good[r + j, c + i]
            weights[r, c] = n / total
