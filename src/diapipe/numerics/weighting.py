"""Pixels of a block ready to be summed: unusable ones out, the others weighted by their expected precision.

The weights are 1 over the *local mean* of the variance V. A variance plane made from the counts themselves carries
their noise: E[D/V] is then about -1 electron per pixel, 2% of the flux of a 10-sigma source; a mean of 5x5 pixels makes
that 25 times smaller, and costs nothing where V is smooth.
"""

from __future__ import annotations

import numpy as np

from diapipe.numerics.arrays import BoolArray, Float32Array, IntArray, MaskArray
from diapipe.numerics.jit import inlined, jit

MEAN_HALF = 2
"""Half-width of the square over which the variance is averaged for the weights: 5x5 pixels."""

_HUGE = 1e30
"""A value or variance beyond this is none."""


@inlined
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
    low, high = max(0, -x_first), min(width, n_columns - x_first)
    bad_bits, huge, zero, one = np.int32(bits), np.float32(_HUGE), np.float32(0.0), np.float32(1.0)
    n_good = 0
    for r in range(height):
        y = y_first + r
        to_values, to_spread, to_good = values[r], spread[r], good[r]
        for c in range(width):
            to_values[c], to_spread[c], to_good[c] = zero, zero, zero
        if y < 0 or y >= n_rows or high <= low:
            continue
        to_values, to_spread, to_good = values[r, low:high], spread[r, low:high], good[r, low:high]
        pixels, flags = image[y, x_first + low : x_first + high], mask[y, x_first + low : x_first + high]
        spreads = variance[y, x_first + low : x_first + high]
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


@inlined
def _mean_weights(spread: Float32Array, good: Float32Array, weights: Float32Array) -> None:
    """Fill ``weights``, smaller by `MEAN_HALF` a side, with 1 / (mean of usable V around); 0 on unusable pixels."""
    half, side, zero = MEAN_HALF, 2 * MEAN_HALF + 1, np.float32(0.0)
    total, number = np.empty((2, spread.shape[1]), np.float32)
    for r in range(weights.shape[0]):
        for c in range(spread.shape[1]):
            total[c], number[c] = spread[r, c], good[r, c]
        for k in range(1, side):
            for c in range(spread.shape[1]):
                total[c] += spread[r + k, c]
                number[c] += good[r + k, c]
        for c in range(weights.shape[1]):
            sum_v = total[c] + total[c + 1] + total[c + 2] + total[c + 3] + total[c + 4]
            n = number[c] + number[c + 1] + number[c + 2] + number[c + 3] + number[c + 4]
            weights[r, c] = n / sum_v if good[r + half, c + half] > zero else zero


@jit
def weigh(
    values: Float32Array, spread: Float32Array, good: Float32Array, d_w: Float32Array, v_w2: Float32Array
) -> None:
    """Fill ``d_w`` = w D and ``v_w2`` = w² V, smaller by `MEAN_HALF` a side, with the weights of `_mean_weights`."""
    half = MEAN_HALF
    _mean_weights(spread, good, d_w)
    for r in range(d_w.shape[0]):
        for c in range(d_w.shape[1]):
            weight = d_w[r, c]
            d_w[r, c] = weight * values[r + half, c + half]
            v_w2[r, c] = weight * weight * spread[r + half, c + half]


def cut_blocks(
    image: Float32Array,
    mask: MaskArray,
    variance: Float32Array,
    *,
    bits: int,
    rows: IntArray,
    columns: IntArray,
    half: int,
) -> tuple[Float32Array, Float32Array, BoolArray]:
    """Squares of ``2 half + 1`` pixels around pixels, as `load_block` copies them.

    Parameters
    ----------
    image, mask, variance
        Planes of one shape.
    bits
        Mask bits of unusable pixels.
    rows, columns
        Array indices of the middles, shape (n,); they may lie outside.
    half
        Half-width of the squares.

    Returns
    -------
    tuple
        Values and variance, 0 where unusable, and whether a pixel is usable; shape (n, 2 half + 1, 2 half + 1).
    """
    offset = np.arange(-half, half + 1)
    y, x = rows[:, None] + offset, columns[:, None] + offset
    inside_y, inside_x = (y >= 0) & (y < image.shape[0]), (x >= 0) & (x < image.shape[1])
    at = np.clip(y, 0, image.shape[0] - 1)[:, :, None], np.clip(x, 0, image.shape[1] - 1)[:, None, :]
    values, spread = image[at], variance[at]
    good = inside_y[:, :, None] & inside_x[:, None, :] & ((mask[at] & np.int32(bits)) == 0)
    good &= (np.abs(values) < _HUGE) & (spread > 0.0) & (spread < _HUGE)
    values[~good], spread[~good] = 0.0, 0.0
    return values, spread, good


@jit
def _fill_blocks(
    image: Float32Array,
    mask: MaskArray,
    variance: Float32Array,
    bits: int,
    rows: IntArray,
    columns: IntArray,
    values: Float32Array,
    spread: Float32Array,
    weights: Float32Array,
) -> None:
    """`load_block` and `_mean_weights` of every source; what the mean needs around the blocks is not kept."""
    half, side = MEAN_HALF, values.shape[1]
    wide = side + 2 * half
    d, v = np.empty((wide, wide), np.float32), np.empty((wide, wide), np.float32)
    g = np.empty((wide, wide), np.float32)
    for k in range(len(rows)):
        load_block(image, mask, variance, bits, rows[k] - wide // 2, columns[k] - wide // 2, d, v, g)
        _mean_weights(v, g, weights[k])
        for r in range(side):
            for c in range(side):
                values[k, r, c] = d[r + half, c + half]
                spread[k, r, c] = v[r + half, c + half]


def weighted_blocks(
    image: Float32Array,
    mask: MaskArray,
    variance: Float32Array,
    *,
    bits: int,
    rows: IntArray,
    columns: IntArray,
    half: int,
) -> tuple[Float32Array, Float32Array, Float32Array]:
    """Values and variance of squares around pixels, and the weights 1 / (mean of V over the usable 5x5 pixels around).

    Parameters
    ----------
    image, mask, variance, bits, rows, columns, half
        As for `cut_blocks`, the planes C-contiguous.

    Returns
    -------
    tuple
        All 0 where unusable; shape (n, 2 half + 1, 2 half + 1).
    """
    values = np.empty((len(rows), 2 * half + 1, 2 * half + 1), np.float32)
    spread, weights = np.empty_like(values), np.empty_like(values)
    where = np.ascontiguousarray(rows, np.int64), np.ascontiguousarray(columns, np.int64)
    _fill_blocks(image, mask, variance, int(bits), *where, values, spread, weights)
    return values, spread, weights
