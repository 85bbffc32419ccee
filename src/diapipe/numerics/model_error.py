"""How far bright pixels lie from a model beyond their noise: the relative error of the model, from its residuals.

A kernel of finite flexibility, a flat field, pixels of unequal response and charge that repels charge all leave
residuals that grow with the signal. With r = f m ε + noise, E[r²] = V + f² m²: every stamp of a star gives an estimate
of f².
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from diapipe.numerics.arrays import BoolArray, Float32Array, FloatArray

N_ITERATIONS = 8


class RelativeError(NamedTuple):
    """``value`` f, a fraction of the signal; ``significance``, in standard errors of f²."""

    value: float
    significance: float


def relative_error(
    residuals: Float32Array, signal: Float32Array, variance: Float32Array, good: BoolArray
) -> RelativeError:
    """Relative error f for which the residuals are what V + f² m² says.

    Parameters
    ----------
    residuals, signal, variance
        Data minus model, the model m above the background, and the variance V that is claimed without an error of the
        model; shape (n_stamps, n_pixels).
    good
        Pixels that count.

    Returns
    -------
    RelativeError
        Zero where the residuals are no larger than the noise.

    Notes
    -----
    Per stamp f² = Σ w (r² - V) m² / Σ w m⁴ with w = 1 / (V + f² m²)², solved by iteration; over the stamps their
    median, weighted with the information Σ w m⁴: no single variable star or blend can move it far. The standard error
    is from the scatter of the stamps.
    """
    weight = np.zeros_like(variance)
    power = np.where(good, np.clip(signal, 0.0, None), np.float32(0.0)) ** 2
    excess = np.where(good, residuals**2 - variance, np.float32(0.0))
    square, error = 0.0, np.inf
    for _ in range(N_ITERATIONS):
        np.divide(1.0, (variance + np.float32(square) * power) ** 2, out=weight, where=good)
        information = np.einsum("cp,cp,cp->c", weight, power, power, dtype=np.float64)
        told = information > 0
        if not told.any():
            return RelativeError(0.0, 0.0)
        each = np.einsum("cp,cp,cp->c", weight, power, excess, dtype=np.float64)[told] / information[told]
        square, error = _weighted_median(each, information[told])
        square = max(square, 0.0)
    return RelativeError(float(np.sqrt(square)), square / error if error > 0 else 0.0)


def _weighted_median(values: FloatArray, weights: FloatArray) -> tuple[float, float]:
    """Weighted median and its standard error from the weighted absolute deviations and the effective number."""
    order = np.argsort(values)
    share = np.cumsum(weights[order]) / weights.sum()
    middle = float(values[order][np.searchsorted(share, 0.5)])
    scatter = 1.2533 * float(np.sum(weights * np.abs(values - middle)) / weights.sum())
    effective = float(weights.sum() ** 2 / np.sum(weights**2))
    return middle, 1.2533 * scatter / np.sqrt(max(effective, 1.0))
