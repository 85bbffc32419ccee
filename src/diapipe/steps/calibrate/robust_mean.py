"""robust_mean: of values that scatter more than their errors say, and some of which are of something else."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from diapipe.numerics.arrays import FloatArray
from diapipe.numerics.zero_points import HUBER, MAD_TO_SIGMA, OUTLIER, excess_scatter


class RobustMean(NamedTuple):
    """Mean, its error, the scatter beyond the errors, the robust reduced χ² by these, and how many values count."""

    value: float
    error: float
    scatter: float
    chi2: float
    n: int


def robust_mean(values: FloatArray, errors: FloatArray, *, n_rounds: int = 10) -> RobustMean:
    """Mean by Huber's weights; NaN where there is no value.

    Parameters
    ----------
    values, errors
        Shape (n,); those that are not finite do not count.
    n_rounds
        Times that weights and scatter are found anew.
    """
    good = np.isfinite(values) & np.isfinite(errors)
    values, errors = values[good], errors[good]
    if len(values) == 0:
        return RobustMean(np.nan, np.nan, np.nan, np.nan, 0)
    mean, extra, weights = float(np.median(values)), 0.0, np.ones(len(values))
    for _ in range(n_rounds):
        residuals = values - mean
        extra = excess_scatter(residuals**2, errors**2)
        sigma = np.hypot(errors, extra)
        pull = np.abs(residuals) / sigma
        weights = np.where(pull < OUTLIER, np.minimum(1.0, HUBER / np.maximum(pull, 1e-9)), 0.0) / sigma**2
        mean = float(np.average(values, weights=weights)) if weights.any() else mean
    residuals = (values - mean)[weights > 0]
    chi2 = float(np.median((residuals / errors[weights > 0]) ** 2)) * MAD_TO_SIGMA**2
    error = 1.0 / np.sqrt(weights.sum()) if weights.any() else np.nan
    return RobustMean(mean, float(error), extra, chi2, int(np.count_nonzero(weights)))
