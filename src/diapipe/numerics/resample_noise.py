"""Autocorrelation of the noise of a resampled image."""

from __future__ import annotations

import math

import numpy as np

from diapipe.numerics.arrays import FloatArray
from diapipe.numerics.lanczos import LOBES, lanczos


def resampled_noise_correlation(
    x: FloatArray,
    y: FloatArray,
    affine: FloatArray,
    *,
    stretch: float = 1.0,
    half: int = 5,
    source_correlation: FloatArray | None = None,
) -> FloatArray:
    """Mean autocorrelation of the output pixels of a Lanczos-3 resampling.

    Parameters
    ----------
    x, y
        Source positions of sampled output pixels, shape (n,): their fractional parts are the phases that occur.
    affine
        ∂(source x, y)/∂(output x, y), shape (2, 2).
    stretch
        Width of the kernel in units of the plain one.
    half
        Largest lag along each axis.
    source_correlation
        Autocorrelation of the source's noise, shape (2m + 1, 2m + 1), 1 at the centre; None for white noise.

    Returns
    -------
    FloatArray
        Shape (2 half + 1, 2 half + 1), element [half + dy, half + dx]: mean covariance of the output pixels p and
        p + (dx, dy), divided by their mean variance.

    Notes
    -----
    cov(p, p + d) = Σ_l C(l) X_d(l_x) Y_d(l_y), with C the source's autocorrelation and
    X_d(l) = Σ_i w(x_p - i) w(x_p + (A d)_x - i - l) that of the weights along x; for white noise only l = 0 is left.
    """
    correlation = np.ones((1, 1)) if source_correlation is None else source_correlation
    max_lag = correlation.shape[0] // 2
    offset = np.arange(-half, half + 1)
    dx, dy = (grid.ravel() for grid in np.meshgrid(offset, offset))
    along_x = _weight_correlations(x, affine[0, 0] * dx + affine[0, 1] * dy, stretch=stretch, max_lag=max_lag)
    along_y = _weight_correlations(y, affine[1, 0] * dx + affine[1, 1] * dy, stretch=stretch, max_lag=max_lag)
    covariance = np.einsum("sdk,lk,sdl->d", along_x, correlation, along_y, optimize=True)
    covariance = covariance.reshape(2 * half + 1, 2 * half + 1)
    covariance = 0.5 * (covariance + covariance[::-1, ::-1])
    return np.asarray(covariance / covariance[half, half])


def _weight_correlations(position: FloatArray, shift: FloatArray, *, stretch: float, max_lag: int) -> FloatArray:
    """Σ_i w(p - i) w(p + shift - i - lag) for each position, shift and lag; shape (n, n_shifts, 2 max_lag + 1)."""
    reach = math.ceil(LOBES * stretch)
    pixel = np.arange(-reach, reach + 2)
    start = position - np.floor(position)
    here = _normalised(start[:, None] - pixel, start, reach, stretch)
    moved = start[:, None] + shift
    result = np.empty((len(position), len(shift), 2 * max_lag + 1))
    for k, lag in enumerate(range(-max_lag, max_lag + 1)):
        there = _normalised(moved[..., None] - pixel - lag, moved, reach, stretch)
        result[..., k] = np.einsum("si,sdi->sd", here, there)
    return result


def _normalised(distance: FloatArray, position: FloatArray, reach: int, stretch: float) -> FloatArray:
    """Kernel at distances, divided by the sum of the weights of all the taps of a position."""
    fraction = position - np.floor(position)
    taps = np.arange(-reach, reach + 2)
    total = lanczos(fraction[..., None] - taps, stretch=stretch).sum(axis=-1)
    return np.asarray(lanczos(distance, stretch=stretch) / total[..., None])
