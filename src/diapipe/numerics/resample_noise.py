"""Autocorrelation of the noise of a resampled image."""

from __future__ import annotations

import numpy as np

from diapipe.numerics.arrays import FloatArray
from diapipe.numerics.interpolant import Interpolant
from diapipe.numerics.jit import jit


def resampled_noise_correlation(
    x: FloatArray,
    y: FloatArray,
    affine: FloatArray,
    interpolant: Interpolant,
    *,
    half: int = 5,
    source_correlation: FloatArray | None = None,
) -> FloatArray:
    """Mean autocorrelation of the output pixels of a resampling.

    Parameters
    ----------
    x, y
        Source positions of sampled output pixels, shape (n,): their fractional parts are the phases that occur.
    affine
        ∂(source x, y)/∂(output x, y), shape (2, 2).
    interpolant
        How the image was interpolated.
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
    X_d(l) = Σ_i w_i(x_p) w_(i + l)(x_p + (A d)_x) that of the weights along x; for white noise only l = 0 is left.
    """
    correlation = np.ones((1, 1)) if source_correlation is None else source_correlation
    max_lag = correlation.shape[0] // 2
    offset = np.arange(-half, half + 1)
    dx, dy = (grid.ravel() for grid in np.meshgrid(offset, offset))
    along_x = _weight_correlations(x, affine[0, 0] * dx + affine[0, 1] * dy, interpolant, max_lag)
    along_y = _weight_correlations(y, affine[1, 0] * dx + affine[1, 1] * dy, interpolant, max_lag)
    covariance = np.einsum("sdk,lk,sdl->d", along_x, correlation, along_y, optimize=True)
    covariance = covariance.reshape(2 * half + 1, 2 * half + 1)
    covariance = 0.5 * (covariance + covariance[::-1, ::-1])
    return np.asarray(covariance / covariance[half, half])


def resampled_variance_gain(
    x: FloatArray, y: FloatArray, interpolant: Interpolant, source_correlation: FloatArray
) -> float:
    """Mean variance of the output pixels of a resampling, over that of a source of white noise as large.

    Parameters
    ----------
    x, y
        Source positions of sampled output pixels, shape (n,).
    interpolant
        How the image was interpolated.
    source_correlation
        Autocorrelation of the source's noise, shape (2m + 1, 2m + 1), 1 at the centre.

    Returns
    -------
    float
        Above 1 where neighbours share noise, which an interpolation between them then does not average away.
    """
    lag = source_correlation.shape[0] // 2
    still = np.zeros(1)
    along_x = _weight_correlations(x, still, interpolant, lag)[:, 0]
    along_y = _weight_correlations(y, still, interpolant, lag)[:, 0]
    correlated = np.einsum("sk,lk,sl->", along_x, source_correlation, along_y)
    return float(correlated / (along_x[:, lag] * along_y[:, lag]).sum())


def _weight_correlations(position: FloatArray, shift: FloatArray, interpolant: Interpolant, max_lag: int) -> FloatArray:
    """Σ_i w_i(p) w_(i + lag)(p + shift) for each position, shift and lag; shape (n, n_shifts, 2 max_lag + 1)."""
    first, here = interpolant.weights(position)
    first_moved, there = interpolant.weights(position[:, None] + shift)
    result = np.empty((len(position), len(shift), 2 * max_lag + 1))
    _correlate(first[:, None] - first_moved, here, there, result)
    return result


@jit
def _correlate(ahead: FloatArray, here: FloatArray, there: FloatArray, result: FloatArray) -> None:
    """Σ_i here_i there_(i + ahead + lag) for each position and shift, lags from -max_lag to max_lag."""
    n, max_lag = here.shape[1], result.shape[2] // 2
    for s in range(len(here)):
        for d in range(there.shape[1]):
            for k in range(result.shape[2]):
                off = int(ahead[s, d]) + k - max_lag
                total = 0.0
                for i in range(max(0, -off), min(n, n - off)):
                    total += here[s, i] * there[s, d, i + off]
                result[s, d, k] = total
