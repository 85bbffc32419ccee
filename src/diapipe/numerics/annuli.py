"""Levels in annuli around positions."""

from __future__ import annotations

import numpy as np

from diapipe.numerics.arrays import Float32Array, FloatArray, MaskArray
from diapipe.numerics.weighting import cut_blocks

_AT_ONCE = 256
"""Positions whose pixels are held at a time."""

_N_CLIPS = 3


def annulus_means(
    image: Float32Array,
    mask: MaskArray,
    variance: Float32Array,
    *,
    bits: int,
    x: FloatArray,
    y: FloatArray,
    inner: float,
    outer: float,
    n_sigma: float,
) -> FloatArray:
    """Mean of the usable pixels of an annulus, without those far from it.

    Parameters
    ----------
    image, mask, variance
        Planes of one shape.
    bits
        Mask bits of unusable pixels.
    x, y
        Array coordinates, shape (n,).
    inner, outer
        Radii in pixels.
    n_sigma
        Pixels farther than this from the median, then from the mean, are left out, in units of their own noise.

    Returns
    -------
    FloatArray
        Shape (n, 2): mean and its variance, for white noise; NaN without pixels.
    """
    means = np.full((len(x), 2), np.nan)
    half = int(np.ceil(outer)) + 1
    height, width = image.shape
    near = (x > -half) & (x < width + half) & (y > -half) & (y < height + half)
    chosen = np.flatnonzero(near)
    for first in range(0, len(chosen), _AT_ONCE):
        some = chosen[first : first + _AT_ONCE]
        columns, rows = (np.floor(v[some] + 0.5).astype(np.int64) for v in (x, y))
        values, spread, good = cut_blocks(image, mask, variance, bits=bits, rows=rows, columns=columns, half=half)
        offset = np.arange(-half, half + 1)
        dx, dy = columns[:, None] + offset - x[some][:, None], rows[:, None] + offset - y[some][:, None]
        distance = np.hypot(dy[:, :, None], dx[:, None, :])
        good &= (distance >= inner) & (distance <= outer)
        means[some] = _clipped(values, spread, good, n_sigma)
    return means


def _clipped(values: Float32Array, spread: Float32Array, good: np.ndarray, n_sigma: float) -> FloatArray:
    """Means and their variances of the good pixels of each block."""
    shape = (len(values), -1)
    d, v, use = values.reshape(shape).astype(np.float64), spread.reshape(shape).astype(np.float64), good.reshape(shape)
    some = use.any(axis=1)
    middle = np.full(len(d), np.nan)
    middle[some] = np.nanmedian(np.where(use, d, np.nan)[some], axis=1)
    kept = use
    for _ in range(_N_CLIPS):
        kept = use & (np.abs(d - middle[:, None]) <= n_sigma * np.sqrt(v))
        n = kept.sum(axis=1)
        middle = np.divide((d * kept).sum(axis=1), n, out=np.full(len(d), np.nan), where=n > 0)
    n = kept.sum(axis=1)
    error2 = np.divide((v * kept).sum(axis=1), n.astype(np.float64) ** 2, out=np.full(len(d), np.nan), where=n > 0)
    return np.stack([middle, error2], axis=1)
