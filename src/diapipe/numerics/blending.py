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

from diapipe.numerics.arrays import BoolArray, Float32Array, FloatArray, IntArray, MaskArray
from diapipe.numerics.jit import inlined, jit
from diapipe.numerics.resample_rows import Planes
from diapipe.numerics.stats import robust_sigma

MISSING_SHARE = 0.25
"""A cell counts as empty from this share of missing pixels on: a cosmic ray is no border of an image."""

_LAG_PX = 8  # beyond the reach of an interpolation, within which noise is correlated; a slope does little on it

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
    n, n_rows = layer.image.shape[1], nodes.shape[0]
    twice = np.float32(2.0 * alike)
    cell, after, across = _cells(column, n, step, nodes.shape[1])
    weights = np.empty(n, np.float32)
    for j in range(first, last):
        down, row_after, fy = _cell(row + j, step, n_rows)
        for i in range(n):
            lower = nodes[down, cell[i]] + across[i] * (nodes[down, after[i]] - nodes[down, cell[i]])
            upper = nodes[row_after, cell[i]] + across[i] * (nodes[row_after, after[i]] - nodes[row_after, cell[i]])
            weights[i] = lower + fy * (upper - lower)
        y, x = row + j, column
        values, variances, flags = layer.image[j], layer.variance[j], layer.mask[j]
        value, weight, spread = sums.value[y, x : x + n], sums.weight[y, x : x + n], sums.spread[y, x : x + n]
        mask, is_sound = sums.mask[y, x : x + n], sums.sound[y, x : x + n]
        for i in range(n):
            w, variance = weights[i], variances[i]
            sound = (flags[i] & bad_bits) == 0
            known = math.isfinite(values[i]) and variance > 0.0 and variance < math.inf
            if not known or w <= 0.0 or (is_sound[i] and not sound):
                continue
            if sound and not is_sound[i]:
                value[i], weight[i], spread[i], mask[i], is_sound[i] = 0.0, 0.0, 0.0, 0, True
            own = w * w * variance
            if twice > 0.0 and spread[i] > 0.0:
                own += twice * math.sqrt(own * spread[i])
            spread[i] += own
            value[i] += w * values[i]
            weight[i] += w
            mask[i] |= flags[i]


@inlined
def _cell(position: int, step: int, n_nodes: int) -> tuple[int, int, np.float32]:
    """Node before a pixel, the next one, and the fraction of the way; clamped to the nodes."""
    u = min(max((position - 0.5 * (step - 1)) / step, 0.0), n_nodes - 1.0)
    before = min(int(u), max(n_nodes - 2, 0))
    return before, min(before + 1, n_nodes - 1), np.float32(u - before)


@inlined
def _cells(start: int, n: int, step: int, n_nodes: int) -> tuple[IntArray, IntArray, Float32Array]:
    """The same for ``n`` pixels in a row."""
    before, after, fraction = np.empty(n, np.int64), np.empty(n, np.int64), np.empty(n, np.float32)
    for i in range(n):
        before[i], after[i], fraction[i] = _cell(start + i, step, n_nodes)
    return before, after, fraction


def cut(sums: Sums, rows: slice, columns: slice) -> Sums:
    """A part of the sums, without a copy."""
    part = rows, columns
    return Sums(sums.value[part], sums.weight[part], sums.spread[part], sums.mask[part], sums.sound[part])


def blended(sums: Sums, *, no_data: int) -> Planes:
    """The planes that the sums make: NaN and ``no_data`` where nothing was summed up."""
    shape = sums.value.shape
    planes = Planes(np.empty(shape, np.float32), np.empty(shape, np.float32), np.empty(shape, np.int32))
    of_one_layout = Sums._make(map(np.ascontiguousarray, sums))  # a part of larger sums would compile once more
    _divide(of_one_layout, planes, no_data)
    return planes


@jit
def _divide(sums: Sums, planes: Planes, no_data: int) -> None:
    for y in range(sums.value.shape[0]):
        for x in range(sums.value.shape[1]):
            weight = sums.weight[y, x]
            has = weight > 0.0
            scale = np.float32(1.0) / weight if has else np.float32(np.nan)
            planes.image[y, x] = sums.value[y, x] * scale
            planes.variance[y, x] = sums.spread[y, x] * scale * scale
            planes.mask[y, x] = sums.mask[y, x] if has else no_data


def noise_alikeness(one: Planes, other: Planes, *, ignored: int, least_pixels: int) -> float | None:
    """How correlated the noise of two images of one sky is, by what is left of it in their difference.

    Parameters
    ----------
    one, other
        On one grid and flux scale.
    ignored
        Mask bits of pixels not to be looked at: sources are not noise.
    least_pixels
        So many pairs of pixels are needed.

    Returns
    -------
    float or None
        From 0 to 1; None if there are too few pixels.

    Notes
    -----
    With D = (A - B) / √(σ_A² + σ_B²), var D = 1 - 2 c σ_A σ_B / (σ_A² + σ_B²). That is half the variance of D at one
    pixel less D at another, in which levels and slopes by which the images may differ are not seen. The scatter is from
    quartiles, to which stars do not contribute.
    """
    good = np.isfinite(one.image) & np.isfinite(other.image) & (((one.mask | other.mask) & ignored) == 0)
    good &= (one.variance > 0) & (other.variance > 0)
    a, b = one.variance[good].astype(np.float64), other.variance[good].astype(np.float64)
    off = np.full(good.shape, np.nan)
    off[good] = (one.image[good].astype(np.float64) - other.image[good]) / np.sqrt(a + b)
    pairs = [along[_LAG_PX:] - along[:-_LAG_PX] for along in (off, off.T)]
    pairs = [both[np.isfinite(both)] for both in pairs]
    numbers = [len(both) for both in pairs]
    if sum(numbers) < least_pixels:
        return None
    scatters = [robust_sigma(both) ** 2 if len(both) else 0.0 for both in pairs]
    left = 0.5 * float(np.average(scatters, weights=numbers))
    shared = float(np.mean(2.0 * np.sqrt(a * b) / (a + b)))
    return float(np.clip((1.0 - left) / shared, 0.0, 1.0))


def feathered_weights(missing: FloatArray, *, step: int, feather_px: float) -> Float32Array:
    """Weights that fall to 0 towards the borders of an image, at the centres of cells.

    Parameters
    ----------
    missing
        Share of each cell's pixels that have no value, as of `missing_shares`; shape (n_rows, n_columns). What lies
        beyond is not known to be missing.
    step
        Side of a cell in pixels.
    feather_px
        Distance from the border over which the weight rises to 1.

    Returns
    -------
    Float32Array
        The shape of ``missing``: 0 in cells without a pixel, at least `LEAST_WEIGHT` elsewhere.
    """
    empty = missing > MISSING_SHARE
    if not empty.any():
        return np.ones(empty.shape, np.float32)
    inside = step * (np.asarray(ndimage.distance_transform_edt(~empty), dtype=np.float64) - 1.0)
    weight = np.clip(inside / feather_px, LEAST_WEIGHT, 1.0)
    return np.where(missing < 1.0, weight, 0.0).astype(np.float32)


@jit
def missing_shares(layer: Planes, shape: tuple[int, int], step: int, column: int, row: int) -> FloatArray:
    """Share of the pixels without a finite value or a positive finite variance in each cell of a frame.

    Parameters
    ----------
    layer
        On a part of the frame.
    shape
        Rows and columns of the frame.
    step
        Side of a cell; those at the upper borders may be smaller.
    column, row
        Where the layer's first pixel lies in the frame.

    Returns
    -------
    FloatArray
        Shape (ceil(rows / step), ceil(columns / step)).
    """
    height, width = shape
    shares = np.zeros(((height + step - 1) // step, (width + step - 1) // step))
    for j in range(layer.image.shape[0]):
        for i in range(layer.image.shape[1]):
            variance = layer.variance[j, i]
            if math.isfinite(layer.image[j, i]) and variance > 0.0 and variance < math.inf:
                shares[(row + j) // step, (column + i) // step] += 1.0
    for j in range(shares.shape[0]):
        for i in range(shares.shape[1]):
            shares[j, i] = 1.0 - shares[j, i] / (min(step, height - j * step) * min(step, width - i * step))
    return shares
