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

CELL_PX = 256
"""About the side of the cells: a smoothed image has few independent pixels."""

_STEP = 4
_LEAST_PIXELS = 400
_NINE_TENTHS = 3.2897  # sigmas within which nine tenths of Gaussian deviates lie


def seen_variance(
    off: Float32Array,
    variance: Float32Array,
    light: Float32Array,
    good: NDArray[np.uint8],
    *,
    dim_sigma: float,
    dim: float,
) -> Float32Array:
    """Variance of every pixel from the scatter around it.

    Parameters
    ----------
    off
        The image less what is known to be there.
    variance
        What the variance plane makes of it, right on the mean but not from place to place.
    light
        Brightness of the sources around each pixel.
    good
        Not 0 where a pixel counts.
    dim_sigma
        Pixels with more light than so many sigma,
    dim
        and than this, tell nothing about dark ones.

    Returns
    -------
    Float32Array
        Where a cell has too few dark pixels, the median of the cells; where all have, ``variance``.
    """
    shape = max(1, round(off.shape[0] / CELL_PX)), max(1, round(off.shape[1] / CELL_PX))
    scatter, dark = np.full(shape, np.nan, np.float32), np.zeros(shape, np.float32)
    _look(off, variance, light, good, dim_sigma, dim, scatter, dark)
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
    dim: float,
    scatter: Float32Array,
    dark: Float32Array,
) -> None:
    """Variance of the dark pixels of each cell, as they scatter or as is claimed; the ninth decile of what is claimed.

    Off a median of which it is a part, an image is often off by nothing: the inner quartiles know less than the range
    of nine tenths.
    """
    height, width = off.shape
    tall, wide = (height + scatter.shape[0] - 1) // scatter.shape[0], (width + scatter.shape[1] - 1) // scatter.shape[1]
    values, variances = np.empty(tall * wide, np.float32), np.empty(tall * wide, np.float32)
    for row in range(scatter.shape[0]):
        for column in range(scatter.shape[1]):
            n = 0
            for y in range(row * tall, min((row + 1) * tall, height), _STEP):
                for x in range(column * wide, min((column + 1) * wide, width), _STEP):
                    spread = variance[y, x]
                    is_dark = light[y, x] < max(dim_sigma * math.sqrt(spread), dim)
                    if good[y, x] != 0 and math.isfinite(off[y, x]) and is_dark:
                        values[n], variances[n] = off[y, x], spread
                        n += 1
            if n < _LEAST_PIXELS:
                continue
            found, spreads = np.sort(values[:n]), np.sort(variances[:n])
            size = (found[(19 * n) // 20] - found[n // 20]) / _NINE_TENTHS
            scatter[row, column] = max(size * size, np.mean(spreads))
            dark[row, column] = spreads[(9 * n) // 10]


@jit
def _compose(variance: Float32Array, scatter: Float32Array, dark: Float32Array, seen: Float32Array) -> None:
    tall = (variance.shape[0] + scatter.shape[0] - 1) // scatter.shape[0]
    wide = (variance.shape[1] + scatter.shape[1] - 1) // scatter.shape[1]
    for y in range(variance.shape[0]):
        row = y // tall
        for column in range(scatter.shape[1]):
            base, usual = scatter[row, column], dark[row, column]
            for x in range(column * wide, min((column + 1) * wide, variance.shape[1])):
                seen[y, x] = base + max(variance[y, x] - usual, np.float32(0.0))
