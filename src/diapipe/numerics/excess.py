"""Scatter of values beyond their claimed errors."""

from __future__ import annotations

import numpy as np

from diapipe.numerics.arrays import FloatArray
from diapipe.numerics.stats import robust_sigma

_N_ITERATIONS = 10
LEAST_PART = 0.1
"""No variance of a value falls below this part of what its error claims."""

_CLIP_SIGMA = 3.5
"""Beyond lie 5e-4 of a Gaussian, which hold 0.6% of its variance."""


def excess_scatter(residuals: FloatArray, errors: FloatArray) -> float:
    """Scatter s for which residuals have the variance s² + e²; 0 where they scatter no more than their errors say.

    Arguments as of `excess_variance`.
    """
    return float(np.sqrt(excess_variance(residuals, errors)))


def excess_variance(residuals: FloatArray, errors: FloatArray, *, least: float = 0.0) -> float:
    """What to add to the squares of errors for residuals to scatter as they say.

    Parameters
    ----------
    residuals, errors
        Shape (n,); pairs that are not finite are left out.
    least
        It is no less than this: below 0 where errors may claim too much.

    Notes
    -----
    s² is the mean of r² - e² with weights 1 / (s² + e²)², each value's information, by iteration from the robust
    scatter of the better known half; values beyond 3.5 sigma of s² + e² are left out: what is told is the scatter that
    most values share.
    """
    known = np.isfinite(residuals) & np.isfinite(errors)
    r, e = residuals[known], errors[known]
    if len(r) < 2:
        return 0.0
    square = robust_sigma(r[e <= np.median(e)]) ** 2
    for _ in range(_N_ITERATIONS):
        variance = np.maximum(np.maximum(square + e**2, LEAST_PART * e**2), np.finfo(np.float64).tiny)
        weight = np.where(r**2 <= _CLIP_SIGMA**2 * variance, variance**-2.0, 0.0)
        if not weight.any():
            break
        square = max(float((weight * (r**2 - e**2)).sum() / weight.sum()), least)
    return square
