"""Noise measured on the pixels themselves: its covariance from pixel to pixel."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from diapipe.numerics.arrays import BoolArray, Float32Array, FloatArray, IntArray
from diapipe.numerics import stats
from diapipe.numerics.jit import jit


class Covariance(NamedTuple):
    """Mean product of pixel pairs by their lag."""

    values: FloatArray
    """Shape (2n + 1, 2n + 1); entry (n + dy, n + dx); symmetric under a half turn."""
    pairs: IntArray
    """Pairs behind each value."""


@jit
def _pair_sums(
    residual: Float32Array,
    good: BoolArray,
    starts: IntArray,
    run: int,
    lags: IntArray,
    sums: FloatArray,
    counts: IntArray,
) -> None:
    """For rows of ``run`` pixels that begin at the flat indices ``starts``: sums of products with the pixel at each lag."""
    n_rows, n_columns = residual.shape
    values = np.zeros(run, np.float32)
    for start in starts:
        y, x_first = start // n_columns, start % n_columns
        n = min(run, n_columns - x_first)
        n_good = 0
        for i in range(n):
            ok = good[y, x_first + i]
            values[i] = residual[y, x_first + i] if ok else np.float32(0.0)
            n_good += 1 if ok else 0
        if n_good == 0:
            continue
        for k in range(len(lags)):
            row, shift = y + lags[k, 0], lags[k, 1]
            if row < 0 or row >= n_rows:
                continue
            low, high = max(0, -x_first - shift), min(n, n_columns - x_first - shift)
            total, number = np.float32(0.0), 0
            for i in range(low, high):
                pair = good[row, x_first + i + shift] and good[y, x_first + i]
                total += values[i] * residual[row, x_first + i + shift] if pair else np.float32(0.0)
                number += 1 if pair else 0
            sums[k] += total
            counts[k] += number


def half_plane(reach: int) -> IntArray:
    """Lags (dy, dx) of one half-plane, the zero lag first; shape ((2 reach + 1)² // 2 + 1, 2)."""
    lags = [(dy, dx) for dy in range(reach + 1) for dx in range(-reach, reach + 1) if dy > 0 or dx >= 0]
    return np.array(sorted(lags, key=lambda lag: lag != (0, 0)), dtype=np.int64)


def pixel_covariance(
    residual: Float32Array, good: BoolArray, *, reach: int = 4, run: int = 256, at_most: int = 500_000
) -> Covariance:
    """Covariance of the good pixels with their neighbours, from runs of pixels spread over the image.

    Parameters
    ----------
    residual
        Pixels less the sky, shape (rows, columns); finite where ``good``. Clip what is not noise before.
    good
        Source-free, usable pixels.
    reach
        Largest lag along each axis.
    run
        Pixels of a run.
    at_most
        About as many pixels are used.
    """
    n_rows, n_columns = residual.shape
    per_row = -(-n_columns // run)
    starts = (np.arange(n_rows)[:, None] * n_columns + np.arange(per_row) * run).ravel()
    wanted = max(1, at_most // run)
    starts = starts[:: max(1, len(starts) // wanted) | 1]
    lags = half_plane(reach)
    sums, counts = np.zeros(len(lags)), np.zeros(len(lags), np.int64)
    _pair_sums(residual, good, starts, run, lags, sums, counts)
    values = np.zeros((2 * reach + 1, 2 * reach + 1))
    pairs = np.zeros(values.shape, np.int64)
    with np.errstate(invalid="ignore", divide="ignore"):
        means = sums / counts
    for sign in (1, -1):
        values[reach + sign * lags[:, 0], reach + sign * lags[:, 1]] = means
        pairs[reach + sign * lags[:, 0], reach + sign * lags[:, 1]] = counts
    return Covariance(values, pairs)


@jit
def _fourth_differences(residual: Float32Array, good: BoolArray, row_step: int, out: Float32Array) -> int:
    """Fourth differences along rows and columns where all five pixels are good; returns how many were found."""
    n_rows, n_columns = residual.shape
    n = 0
    for y in range(2, n_rows - 2, row_step):
        for x in range(2, n_columns - 2):
            if not good[y, x] or n + 2 > len(out):
                continue
            if good[y, x - 2] and good[y, x - 1] and good[y, x + 1] and good[y, x + 2]:
                inner = residual[y, x - 1] + residual[y, x + 1]
                out[n] = 6.0 * residual[y, x] - 4.0 * inner + residual[y, x - 2] + residual[y, x + 2]
                n += 1
            if good[y - 2, x] and good[y - 1, x] and good[y + 1, x] and good[y + 2, x]:
                inner = residual[y - 1, x] + residual[y + 1, x]
                out[n] = 6.0 * residual[y, x] - 4.0 * inner + residual[y - 2, x] + residual[y + 2, x]
                n += 1
    return n


def white_variance(residual: Float32Array, good: BoolArray, *, at_most: int = 250_000) -> float:
    """Variance of white noise on top of anything smooth: from the fourth differences (1, -4, 6, -4, 1), whose gain is 70.

    Parameters
    ----------
    residual
        Shape (rows, columns).
    good
        Pixels to use; a difference needs five in a row.
    at_most
        About as many differences are used.

    Returns
    -------
    float
        NaN if no five good pixels lie in a row. The scatter is that of the interquartile range, so outliers do not count.
    """
    row_step = max(1, 2 * residual.size // at_most)
    out = np.empty(2 * at_most, np.float32)
    n = _fourth_differences(residual, good, row_step, out)
    return stats.robust_sigma(out[:n]) ** 2 / 70.0
