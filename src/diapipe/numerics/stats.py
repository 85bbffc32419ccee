"""Robust statistics: medians, clipped means, scatters."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from diapipe.numerics.arrays import RealArray

IQR_TO_SIGMA = 0.741301
"""Sigma of a Gaussian in units of its interquartile range."""


class ClippedMean(NamedTuple):
    """Mean and scatter of what survived the clipping, and how many samples that were."""

    mean: float
    sigma: float
    n: int


def finite(values: RealArray) -> RealArray:
    """The finite values, flattened."""
    flat = np.ravel(values)
    return flat[np.isfinite(flat)]


def thinned(values: RealArray, at_most: int) -> RealArray:
    """Every n-th value, so that about ``at_most`` are left, for statistics that need no more: always the same."""
    flat = np.ravel(values)
    return flat[:: max(1, len(flat) // at_most)]


def robust_sigma(values: RealArray) -> float:
    """Scatter from the interquartile range (0.7413 IQR), ignoring non-finite values; NaN where there are none."""
    sample = finite(values)
    if len(sample) == 0:
        return float("nan")
    low, high = np.percentile(sample, [25.0, 75.0])
    return float(IQR_TO_SIGMA * (high - low))


def median(values: RealArray) -> float:
    """Median of the finite values; NaN where there are none."""
    sample = finite(values)
    return float(np.median(sample)) if len(sample) else float("nan")


def clipped_mean(values: RealArray, *, n_sigma: float = 3.0, n_iter: int = 3) -> ClippedMean:
    """Mean and scatter of the values that survive iterative sigma clipping.

    Parameters
    ----------
    values
        Samples of any shape; non-finite ones are ignored.
    n_sigma
        Half-width of the accepted interval, in units of the current scatter.
    n_iter
        How often to clip.

    Returns
    -------
    ClippedMean
        ``mean`` and ``sigma`` in the unit of ``values``, ``n`` the samples kept; NaN, NaN, 0 where none is finite.

    Notes
    -----
    The first interval is centred on the median with the scatter 0.7413 IQR, so one outlier cannot widen it; later ones
    on the clipped mean with the clipped standard deviation (SPEC, section 0).
    """
    sample = finite(values).astype(np.float64)
    if len(sample) == 0:
        return ClippedMean(float("nan"), float("nan"), 0)
    centre, sigma = float(np.median(sample)), robust_sigma(sample)
    kept = sample
    for _ in range(n_iter):
        inside = sample[np.abs(sample - centre) <= n_sigma * sigma]
        if len(inside) == 0:
            break
        kept = inside
        centre, sigma = float(kept.mean()), float(kept.std())
    return ClippedMean(centre, sigma, len(kept))
