"""Scatter of values beyond their claimed errors."""

from __future__ import annotations

import numpy as np
from scipy import special

from diapipe.numerics.arrays import FloatArray

_N_ITERATIONS = 10
LEAST_PART = 0.1
"""No variance of a value falls below this part of what its error claims."""

_MEDIAN_SQUARE = 0.4549364
"""Of a Gaussian of variance 1."""

_STEP, _LEAST_STEP = 0.8, 1e-8
"""Squares are tried so far apart, down to this part of the largest."""


def excess_scatter(residuals: FloatArray, errors: FloatArray) -> float:
    """Scatter s for which residuals have the variance s² + e²; 0 where they scatter no more than their errors say.

    Arguments as of `excess_variance`.
    """
    return float(np.sqrt(excess_variance(residuals, errors)))


def excess_variance(residuals: FloatArray, errors: FloatArray, *, least: float = 0.0, clip_sigma: float = 3.5) -> float:
    """What to add to the squares of errors for residuals to scatter as they say.

    Parameters
    ----------
    residuals, errors
        Shape (n,); pairs that are not finite are left out.
    least
        It is no less than this: below 0 where errors may claim too much.
    clip_sigma
        What lies farther off does not count; less where many values may be wrong altogether.

    Notes
    -----
    s² is the mean of r²/κ - e² with weights 1 / (s² + e²)², each value's information, by iteration; values beyond
    ``clip_sigma`` of s² + e² are left out, and κ is the variance of a Gaussian so cut: what is told is the scatter that
    most values share. It begins where half of them by these weights lie within 0.6745 sigma, from large s on: few with
    small errors do not tell it alone.
    """
    known = np.isfinite(residuals) & np.isfinite(errors)
    r, e = residuals[known], errors[known]
    if len(r) < 2:
        return 0.0
    square, kept = _of_half(r, e), _variance_of_cut_gaussian(clip_sigma)
    for _ in range(_N_ITERATIONS):
        variance = np.maximum(np.maximum(square + e**2, LEAST_PART * e**2), np.finfo(np.float64).tiny)
        weight = np.where(r**2 <= clip_sigma**2 * variance, variance**-2.0, 0.0)
        if not weight.any():
            break
        square = max(float((weight * (r**2 / kept - e**2)).sum() / weight.sum()), least)
    return square


def _of_half(r: FloatArray, e: FloatArray) -> float:
    """The largest square for which half of the weight lies beyond what half of a Gaussian does; 0 where none does.

    From above, where all values weigh the same: the best known alone would tell theirs, the many of large errors none.
    """
    square = float((r**2).max())
    least = _LEAST_STEP * square
    while square > least:
        variance = square + e**2
        if _weighted_median(r**2 / variance, variance**-2.0) > _MEDIAN_SQUARE:
            return square
        square *= _STEP
    return 0.0


def _weighted_median(values: FloatArray, weights: FloatArray) -> float:
    order = np.argsort(values)
    below = np.cumsum(weights[order])
    return float(values[order[np.searchsorted(below, 0.5 * below[-1])]])


def _variance_of_cut_gaussian(n_sigma: float) -> float:
    """Of a Gaussian of variance 1 between ±``n_sigma``."""
    inside = special.erf(n_sigma / np.sqrt(2.0))
    return float(1.0 - np.sqrt(2.0 / np.pi) * n_sigma * np.exp(-0.5 * n_sigma**2) / inside)
