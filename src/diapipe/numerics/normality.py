"""Whether residuals in units of their noise are Gaussian: Kolmogorov-Smirnov and Anderson-Darling."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import log_ndtr, ndtr

from diapipe.numerics.arrays import FloatArray

ANDERSON_SIGNIFICANCE_PERCENT = (15.0, 10.0, 5.0, 2.5, 1.0)
"""How often a Gaussian sample exceeds each of the critical values of `anderson_darling`."""

_CRITICAL = np.array([0.576, 0.656, 0.787, 0.918, 1.092])


class KolmogorovSmirnov(NamedTuple):
    """Largest distance of the distributions, and how often chance makes it as large; NaN for an empty sample."""

    statistic: float
    probability: float


class AndersonDarling(NamedTuple):
    """A², and the values that it exceeds as often as `ANDERSON_SIGNIFICANCE_PERCENT` says; NaN for fewer than 8."""

    statistic: float
    critical: FloatArray


def kolmogorov_smirnov(sample: FloatArray) -> KolmogorovSmirnov:
    """Test against the Gaussian of mean 0 and sigma 1.

    Parameters
    ----------
    sample
        Finite values, shape (n,).

    Notes
    -----
    The probability is exact for n independent values (`scipy.stats.kstwo`).
    """
    from scipy.stats import kstwo  # its import costs a second that only quality asks for

    n = len(sample)
    if n == 0:
        return KolmogorovSmirnov(float("nan"), float("nan"))
    expected = ndtr(np.sort(sample))
    step = np.arange(n + 1) / n
    distance = float(max((step[1:] - expected).max(), (expected - step[:-1]).max()))
    return KolmogorovSmirnov(distance, float(kstwo.sf(distance, n)))


def anderson_darling(sample: FloatArray) -> AndersonDarling:
    """Test for a Gaussian of any mean and sigma, which are taken from the sample.

    Parameters
    ----------
    sample
        Finite values, shape (n,), not all equal.

    Notes
    -----
    `scipy.stats.anderson` computes the same, under an interface that changes with its versions:
    A² = -n - Σ (2i - 1)/n (ln Φ(y_i) + ln(1 - Φ(y_(n+1-i)))); critical values of Stephens (1974), case 3, corrected for
    n by 1 / (1 + 4/n - 25/n²).
    """
    n = len(sample)
    scatter = float(sample.std(ddof=1)) if n >= 8 else 0.0
    if scatter == 0.0:
        return AndersonDarling(float("nan"), np.full(len(_CRITICAL), np.nan))
    scaled = (np.sort(sample) - sample.mean()) / scatter
    terms = log_ndtr(scaled) + log_ndtr(-scaled[::-1])
    statistic = -n - float(((2.0 * np.arange(1, n + 1) - 1.0) * terms).sum()) / n
    return AndersonDarling(statistic, _CRITICAL / (1.0 + 4.0 / n - 25.0 / n**2))
