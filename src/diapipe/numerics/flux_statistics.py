"""Statistics of fluxes group by group, in two passes; a flux that is not finite or has no error is not there."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from diapipe.numerics.arrays import FloatArray, IntArray
from diapipe.numerics.jit import inlined, jit


class FluxStatistics(NamedTuple):
    """One number for each group; NaN where there are too few fluxes.

    Attributes
    ----------
    n
        Fluxes counted.
    mean, mean_err
        Mean weighted by 1/err², and its error.
    sigma
        Standard deviation of the sample (n - 1 in the denominator), unweighted; of two fluxes at least.
    chi2
        Sum of ((flux - mean) / err)².
    least, greatest
        Extrema.
    steepest
        Largest of (flux' - flux) / (time' - time) over fluxes that follow each other; NaN if no two differ in time.
    err_mean
        Mean of the errors.
    """

    n: IntArray
    mean: FloatArray
    mean_err: FloatArray
    sigma: FloatArray
    chi2: FloatArray
    least: FloatArray
    greatest: FloatArray
    steepest: FloatArray
    err_mean: FloatArray


def flux_statistics(flux: FloatArray, err: FloatArray, time: FloatArray, starts: IntArray) -> FluxStatistics:
    """Statistics of every group of fluxes.

    Parameters
    ----------
    flux, err, time
        Shape (n,), float64; group by group, in order of time within a group.
    starts
        First row of each group and the end of the last, shape (n_groups + 1,), as `grouping.Groups` has them.
    """
    n, found = np.zeros(len(starts) - 1, np.int64), np.empty((8, len(starts) - 1))
    _statistics(flux, err, time, starts, n, found)
    return FluxStatistics(n, *found)


@inlined
def counts(flux: float, err: float) -> bool:
    """Whether a flux says anything: it is finite and has an error."""
    return bool(np.isfinite(flux) and np.isfinite(err) and err > 0.0)


@jit
def _statistics(
    flux: FloatArray,
    err: FloatArray,
    time: FloatArray,
    starts: IntArray,
    n: IntArray,
    found: FloatArray,
) -> None:
    """Fill ``n`` and the eight rows of ``found``."""
    for g in range(len(starts) - 1):
        weights = total = plain = errors = 0.0
        least, greatest, steepest = np.inf, -np.inf, -np.inf
        last = -1
        for row in range(starts[g], starts[g + 1]):
            if not counts(flux[row], err[row]):
                continue
            weight = 1.0 / (err[row] * err[row])
            n[g] += 1
            weights += weight
            total += weight * flux[row]
            plain += flux[row]
            errors += err[row]
            least, greatest = min(least, flux[row]), max(greatest, flux[row])
            if last >= 0 and time[row] > time[last]:
                steepest = max(steepest, (flux[row] - flux[last]) / (time[row] - time[last]))
            last = row
        found[:, g] = np.nan
        if n[g] == 0:
            continue
        mean, middle = total / weights, plain / n[g]
        squares = chi2 = 0.0
        for row in range(starts[g], starts[g + 1]):
            if counts(flux[row], err[row]):
                squares += (flux[row] - middle) ** 2
                chi2 += ((flux[row] - mean) / err[row]) ** 2
        found[0, g], found[1, g] = mean, 1.0 / np.sqrt(weights)
        if n[g] > 1:
            found[2, g] = np.sqrt(squares / (n[g] - 1))
        found[3, g], found[4, g], found[5, g] = chi2, least, greatest
        if steepest > -np.inf:
            found[6, g] = steepest
        found[7, g] = errors / n[g]
