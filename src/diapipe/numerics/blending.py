"""Blending of images of one sky whose noise may be the same: sums, layer by layer.

With weights w_i of any smoothness and noise of standard deviation σ_i, correlated by c between a layer and the sum of
those before it,

    I = Σ w_i I_i / Σ w_i,      S_i = S_(i-1) + w_i² σ_i² + 2 c w_i σ_i √S_(i-1),      V = S / (Σ w_i)²,

which is exact for two layers at a pixel. Images stacked from the same exposures have c near 1: then V is the square of
the mean of the σ_i, and nothing is gained by having them twice; independent ones have c = 0.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from diapipe.numerics.arrays import BoolArray, Float32Array, FloatArray, MaskArray
from diapipe.numerics.jit import jit
from diapipe.numerics.resample_rows import Planes
from diapipe.numerics.stats import robust_sigma

MISSING_SHARE = 0.25
"""A cell counts as empty from this share of missing pixels on: a cosmic ray is no border of an image."""

LEAST_WEIGHT = 1e-6
"""Weight of pixels at a border, in units of those far from it: they count where there is nothing else."""


class Sums(NamedTuple):
    """What blending sums up, arrays of one shape.

    Attributes
    ----------
    value, weight, spread
        Σ w I, Σ w and the variance of Σ w I; float32.
    mask
        Bits of all that contributed.
    sound
        Whether what is summed up is free of the bad bits; bad pixels count only where there is no other.
    """

    value: Float32Array
    weight: Float32Array
    spread: Float32Array
    mask: MaskArray
    sound: BoolArray


def nothing_summed(shape: tuple[int, int]) -> Sums:
    """Sums of no layer."""
    value, weight, spread = (np.zeros(shape, np.float32) for _ in range(3))
    return Sums(value, weight, spread, np.zeros(shape, np.int32), np.zeros(shape, np.bool_))


@jit
def add_layer(
    layer: Planes,
    nodes: Float32Array,
    step: int,
    column: int,
    row: int,
    alike: float,
    bad_bits: int,
    sums: Sums,
    first: int,
    last: int,
) -> None:
    """Add rows ``first`` to ``last`` of a layer to the sums.

    Parameters
    ----------
    layer
        Its planes; pixels without a finite value or a positive finite variance are left out.
    nodes
        Weights at the centres of cells of ``step`` by ``step`` pixels of the sums, bilinear in between.
    step
        Pixels of a cell.
    column, row
        Where the layer's first pixel lies in the sums.
    alike
        Correlation of its noise with that of the sums, 0 to 1.
    bad_bits
        Mask bits of pixels that count only where there are no others.
    sums
        Added to.
    first, last
        Rows of the layer.
    """
    n_rows, n_columns = nodes.shape
    middle = np.float32(0.5 * (step - 1))
    twice = np.float32(2.0 * alike)
    for j in range(first, last):
        v = min(max((np.float32(row + j) - middle) / np.float32(step), np.float32(0.0)), np.float32(n_rows - 1))
        j0 = min(int(v), max(n_rows - 2, 0))
        j1, fy = min(j0 + 1, n_rows - 1), v - np.float32(j0)
        y = row + j
        for i in range(layer.image.shape[1]):
            value, variance = layer.image[j, i], layer.variance[j, i]
            if not (math.isfinite(value) and variance > 0.0 and variance < math.inf):
                continue
            u = min(
                max((np.float32(column + i) - middle) / np.float32(step), np.float32(0.0)), np.float32(n_columns - 1)
            )
            i0 = min(int(u), max(n_columns - 2, 0))
            i1, fx = min(i0 + 1, n_columns - 1), u - np.float32(i0)
            lower = nodes[j0, i0] + fx * (nodes[j0, i1] - nodes[j0, i0])
            upper = nodes[j1, i0] + fx * (nodes[j1, i1] - nodes[j1, i0])
            w = lower + fy * (upper - lower)
            x = column + i
            sound = (layer.mask[j, i] & bad_bits) == 0
            if w <= 0.0 or (sums.sound[y, x] and not sound):
                continue
            if sound and not sums.sound[y, x]:
                sums.value[y, x], sums.weight[y, x], sums.spread[y, x], sums.mask[y, x] = 0.0, 0.0, 0.0, 0
                sums.sound[y, x] = True
            own = w * w * variance
            sums.spread[y, x] += own + twice * math.sqrt(own * sums.spread[y, x])
            sums.value[y, x] += w * value
            sums.weight[y, x] += w
            sums.mask[y, x] |= layer.mask[j, i]


def cut(sums: Sums, rows: slice, columns: slice) -> Sums:
    """A part of the sums, without a copy."""
    part = rows, columns
    return Sums(sums.value[part], sums.weight[part], sums.spread[part], sums.mask[part], sums.sound[part])


def blended(sums: Sums, *, no_data: int) -> Planes:
    """The planes that the sums make: NaN and ``no_data`` where nothing was summed up."""
    has = sums.weight > 0
    scale = np.divide(np.float32(1.0), sums.weight, out=np.full(has.shape, np.nan, np.float32), where=has)
    mask = np.where(has, sums.mask, np.int32(no_data))
    return Planes(sums.value * scale, sums.spread * scale * scale, mask)


def noise_alikeness(one: Planes, other: Planes, *, ignored: int, least_pixels: int) -> float | None:
    """How correlated the noise of two images of one sky is, by what is left of it in their difference.

    Parameters
    ----------
    one, other
        On one grid and flux scale.
    ignored
        Mask bits of pixels not to be looked at: sources are not noise.
    least_pixels
        So many are needed.

    Returns
    -------
    float or None
        From 0 to 1; None if there are too few pixels.

    Notes
    -----
    var(A - B) = σ_A² + σ_B² - 2 c σ_A σ_B, with the scatter from quartiles, to which stars do not contribute.
    """
    good = np.isfinite(one.image) & np.isfinite(other.image) & (((one.mask | other.mask) & ignored) == 0)
    good &= (one.variance > 0) & (other.variance > 0)
    if np.count_nonzero(good) < least_pixels:
        return None
    a, b = one.variance[good].astype(np.float64), other.variance[good].astype(np.float64)
    left = robust_sigma((one.image[good].astype(np.float64) - other.image[good]) / np.sqrt(a + b)) ** 2
    shared = float(np.mean(2.0 * np.sqrt(a * b) / (a + b)))
    return float(np.clip((1.0 - left) / shared, 0.0, 1.0))


def feathered_weights(missing: BoolArray, *, step: int, feather_px: float) -> Float32Array:
    """Weights that fall to 0 towards the borders of an image, at the centres of cells.

    Parameters
    ----------
    missing
        Pixels without a value; what lies beyond the array is not known to be missing.
    step
        Side of a cell in pixels.
    feather_px
        Distance from the border over which the weight rises to 1.

    Returns
    -------
    Float32Array
        Shape (ceil(rows / step), ceil(columns / step)): 0 in cells without a pixel, at least `LEAST_WEIGHT` elsewhere.
    """
    share = _cell_means(missing, step)
    empty = share > MISSING_SHARE
    if not empty.any():
        return np.ones(empty.shape, np.float32)
    inside = step * (np.asarray(ndimage.distance_transform_edt(~empty), dtype=np.float64) - 1.0)
    weight = np.clip(inside / feather_px, LEAST_WEIGHT, 1.0)
    return np.where(share < 1.0, weight, 0.0).astype(np.float32)


def _cell_means(values: BoolArray, step: int) -> FloatArray:
    """Mean of each cell; those at the upper borders may be smaller."""
    rows, columns = (np.arange(0, n, step) for n in values.shape)
    total = np.add.reduceat(np.add.reduceat(values, rows, axis=0, dtype=np.int32), columns, axis=1)
    heights, widths = (np.minimum(step, n - at) for n, at in zip(values.shape, (rows, columns), strict=True))
    return np.asarray(total / (heights[:, None] * widths), dtype=np.float64)
