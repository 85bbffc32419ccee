"""Pixels of a block ready to be summed: unusable ones out, the others weighted by their expected precision.

The weights are 1 over the *local mean* of the variance V. A variance plane made from the counts themselves carries their
noise: E[D/V] is then about -1 electron per pixel, 2% of the flux of a 10-sigma source; a mean of 5x5 pixels makes that 25
times smaller, and costs nothing where V is smooth.
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
    """Copy a block that may stick out of the image; unusable pixels become 0 in all three planes. Returns their number."""
    n_rows, n_columns = image.shape
    n_bad = 0
    for r in range(values.shape[0]):
        y = y_first + r
        if y < 0 or y >= n_rows:
            values[r, :] = 0.0
            spread[r, :] = 0.0
            good[r, :] = 0.0
            n_bad += values.shape[1]
            continue
        for c in range(values.shape[1]):
            x = min(max(x_first + c, 0), n_columns - 1)
            d, v = image[y, x], variance[y, x]
            usable = (
                (mask[y, x] & bits) == 0
                and abs(d) < np.float32(1e30)
                and v > np.float32(0.0)
                and v < np.float32(1e30)
                and x == x_first + c
            )
            values[r, c] = d if usable else np.float32(0.0)
            spread[r, c] = v if usable else np.float32(0.0)
            good[r, c] = np.float32(1.0) if usable else np.float32(0.0)
            n_bad += 0 if usable else 1
    return n_bad


@jit
def weigh(
    values: Float32Array, spread: Float32Array, good: Float32Array, d_w: Float32Array, v_w2: Float32Array
) -> None:
    """Fill ``d_w`` = w D and ``v_w2`` = w² V with w = 1 / (mean of V over the usable pixels around); both lose `MEAN_HALF` pixels a side."""
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
            total, n = np.float32(0.0), np.float32(0.0)
            for k in range(side):
                total += sum_v[c + k]
                n += sum_g[c + k]
            weight = n / total if total > 0 else np.float32(0.0)
            d_w[r, c] = weight * values[r + half, c + half]
            v_w2[r, c] = weight * weight * spread[r + half, c + half]


@jit
def local_weights(spread: Float32Array, good: Float32Array, weights: Float32Array) -> None:
    """Fill ``weights`` with 1 / (mean of V over the usable 5x5 pixels around), 0 on unusable ones; smaller by `MEAN_HALF` a side."""
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
