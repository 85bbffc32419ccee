"""Noise measured on the pixels themselves: its covariance from pixel to pixel, and the white part above a smooth scene.

Both work on a stack of tiles: a sample of a large image, or a small image as one tile.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from scipy import fft

from diapipe.numerics import stats
from diapipe.numerics.arrays import BoolArray, Float32Array, FloatArray, IntArray

FOURTH_DIFFERENCE_GAIN = 70.0
"""Variance of the fourth difference (1, -4, 6, -4, 1) of unit white noise."""


class Covariance(NamedTuple):
    """Mean product of pixel pairs and the number of pairs, by lag; shape (n_lags,)."""

    lags: IntArray
    """Rows and columns from one pixel to the other, shape (n_lags, 2)."""
    values: FloatArray
    pairs: IntArray


def half_plane(reach: int) -> IntArray:
    """Lags of one half-plane up to ``reach``, by rows; shape (((2 reach + 1)² + 1) / 2, 2)."""
    lags = [(dy, dx) for dy in range(reach + 1) for dx in range(-reach, reach + 1) if dy > 0 or dx >= 0]
    return np.array(lags, dtype=np.int64)


def pixel_covariance(tiles: Float32Array, good: BoolArray, lags: IntArray) -> Covariance:
    """Covariance of the good pixels with their neighbours.

    Parameters
    ----------
    tiles
        Pixels less the sky, shape (n, rows, columns); 0 where not good. Clip what is not noise before.
    good
        Pixels to use, same shape.
    lags
        Rows (not negative) and columns to the neighbour, shape (n_lags, 2).
    """
    reach = int(np.abs(lags).max())
    sums, counts = _pair_sums(tiles, lags, reach), np.rint(_pair_sums(good, lags, reach)).astype(np.int64)
    return Covariance(lags, sums / np.maximum(counts, 1), counts)


def _pair_sums(tiles: Float32Array | BoolArray, lags: IntArray, reach: int) -> FloatArray:
    """Products of the pixels with the pixel at each lag, summed over all tiles: from their summed power spectrum.

    The tiles are continued by ``reach`` zeros, so that no pixel meets one from the opposite border.
    """
    shape = tuple(fft.next_fast_len(length + reach, real=True) for length in tiles.shape[1:])
    power = np.zeros((shape[0], shape[1] // 2 + 1))
    for tile in tiles:
        spectrum = fft.rfft2(tile.astype(np.float64), shape)
        power += spectrum.real**2 + spectrum.imag**2
    products = fft.irfft2(power, shape)
    return np.asarray(products[lags[:, 0], lags[:, 1]], dtype=np.float64)


def _fourth_differences(tiles: Float32Array, good: BoolArray) -> Float32Array:
    """Fourth differences along rows and columns wherever all five pixels are good; shape (n,)."""
    found = []
    for axis in (1, 2):
        line, usable = np.moveaxis(tiles, axis, 2), np.moveaxis(good, axis, 2)
        last = max(line.shape[2] - 4, 0)
        a, b, c, d, e = (line[:, :, k : last + k] for k in range(5))
        whole = np.logical_and.reduce([usable[:, :, k : last + k] for k in range(5)])
        found.append((np.float32(6.0) * c - np.float32(4.0) * (b + d) + (a + e))[whole])
    return np.concatenate(found)


def white_variance(tiles: Float32Array, good: BoolArray) -> float:
    """Variance of white noise on top of anything smooth, from fourth differences.

    Parameters
    ----------
    tiles
        Shape (n, rows, columns).
    good
        Pixels to use; a difference needs five in a row.

    Returns
    -------
    float
        NaN if no five good pixels lie in a row. The scatter is that of the interquartile range, so outliers do not
        count.
    """
    return stats.robust_sigma(_fourth_differences(tiles, good)) ** 2 / FOURTH_DIFFERENCE_GAIN


def mean_correlation(found: Iterable[tuple[float, FloatArray | None]]) -> FloatArray | None:
    """Weighted mean of noise autocorrelations of any size, white where None; None if all are."""
    found = list(found)
    half = max((len(c) // 2 for _, c in found if c is not None), default=0)
    total = sum(weight for weight, _ in found)
    if half == 0 or total == 0:
        return None
    mean = np.zeros((2 * half + 1, 2 * half + 1))
    for weight, correlation in found:
        image = np.ones((1, 1)) if correlation is None else correlation
        margin = half - len(image) // 2
        mean += weight / total * np.pad(image, margin)
    return mean
