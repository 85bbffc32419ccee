"""The noise of a smoothed image as it is seen, cell by cell, with what sources add.

An interpolation lowers the variance of a pixel and correlates it with its neighbours, both by its sub-pixel phase, so
that a smoothing of the result has nearly the same noise at every phase: no multiple of the variance plane has. The
scatter of pixels without light in large cells has; light adds what the variance exceeds that of dark pixels
by.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from diapipe.numerics.arrays import Float32Array
from diapipe.numerics.jit import jit
from diapipe.numerics.stats import IQR_TO_SIGMA

CELL_PX = 256
"""About the side of the cells: a smoothed image has few independent pixels."""

_STEP = 4
_LEAST_PIXELS = 400


def seen_variance(
    off: Float32Array, variance: Float32Array, light: Float32Array, good: NDArray[np.uint8], *, dim_sigma: float
) -> Float32Array:
    """Variance of every pixel from the scatter around it.

    Parameters
    ----------
    off
        The image less what is known to be there.
    variance
        What the variance plane makes of it, right but for a factor that changes from place to place.
    light
        Brightness of the sources around each pixel.
    good
        Not 0 where a pixel counts.
    dim_sigma
        Pixels with more light than so many sigma tell nothing about dark ones.

    Returns
    -------
    Float32Array
        Where a cell has too few dark pixels, the median of the cells; where all have, ``variance``.
    """
    shape = max(1, round(off.shape[0] / CELL_PX)), max(1, round(off.shape[1] / CELL_PX))
    scatter, dark = np.full(shape, np.nan, np.float32), np.zeros(shape, np.float32)
    _look(off, variance, light, good, dim_sigma, scatter, dark)
    known = np.isfinite(scatter)
    if not known.any():
        return variance
    scatter[~known], dark[~known] = np.median(scatter[known]), np.median(dark[known])
    seen = np.empty_like(variance)
    _compose(variance, scatter, dark, seen)
    return seen


@jit
def _look(
    off: Float32Array,
    variance: Float32Array,
    light: Float32Array,
    good: NDArray[np.uint8],
    dim_sigma: float,
    scatter: Float32Array,
    dark: Float32Array,
) -> None:
    """Variance from the interquartile range of the dark pixels of each cell; the ninth decile of their variances."""
    height, width = off.shape
    tall, wide = (height + scatter.shape[0] - 1) // scatter.shape[0], (width + scatter.shape[1] - 1) // scatter.shape[1]
    values, variances = np.empty(tall * wide, np.float32), np.empty(tall * wide, np.float32)
    for row in range(scatter.shape[0]):
        for column in range(scatter.shape[1]):
            n = 0
            for y in range(row * tall, min((row + 1) * tall, height), _STEP):
                for x in range(column * wide, min((column + 1) * wide, width), _STEP):
                    spread = variance[y, x]
                    if good[y, x] != 0 and math.isfinite(off[y, x]) and light[y, x] < dim_sigma * math.sqrt(spread):
                        values[n], variances[n] = off[y, x], spread
                        n += 1
            if n < _LEAST_PIXELS:
                continue
            found, spreads = np.sort(values[:n]), np.sort(variances[:n])
            size = IQR_TO_SIGMA * (found[(3 * n) // 4] - found[n // 4])
            scatter[row, column], dark[row, column] = size * size, spreads[(9 * n) // 10]


@jit
def _compose(variance: Float32Array, scatter: Float32Array, dark: Float32Array, seen: Float32Array) -> None:
    tall = (variance.shape[0] + scatter.shape[0] - 1) // scatter.shape[0]
    wide = (variance.shape[1] + scatter.shape[1] - 1) // scatter.shape[1]
    for y in range(variance.shape[0]):
        for x in range(variance.shape[1]):
            row, column = y // tall, x // wide
            seen[y, x] = scatter[row, column] + max(variance[y, x] - dark[row, column], np.float32(0.0))
