"""Non-linear least squares for a handful of bounded parameters."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from diapipe.numerics.arrays import FloatArray

MAX_STEPS = 60
MAX_DAMPING = 1e8
DIFFERENCE = 1e-6
"""Step of the numerical derivatives, for parameters of order one."""


def least_squares(
    residual: Callable[[FloatArray], FloatArray],
    start: FloatArray,
    *,
    low: FloatArray,
    high: FloatArray,
    tolerance: float = 1e-6,
) -> FloatArray:
    """Parameters that minimise the sum of squared residuals within bounds.

    Parameters
    ----------
    residual
        Residuals, shape (n,), at parameters of order one, shape (p,).
    start, low, high
        Starting values and bounds, shape (p,).
    tolerance
        The search ends when a step lowers the sum by less than this fraction.

    Notes
    -----
    Levenberg (1944) and Marquardt (1963): the normal equations with their diagonal raised until a step helps. A
    parameter that its bound holds back is left out of a step.
    """
    place, values = start, residual(start)
    damping = 1e-3
    for _ in range(MAX_STEPS):
        slopes = np.stack([residual(place + step) - values for step in DIFFERENCE * np.eye(len(place))]) / DIFFERENCE
        downhill = -slopes @ values
        free = ~(((place <= low) & (downhill < 0.0)) | ((place >= high) & (downhill > 0.0)))
        if not free.any():
            return place
        matrix = slopes[free] @ slopes[free].T
        diagonal = np.diag(np.diag(matrix) + 1e-12 * np.trace(matrix) + 1e-300)
        before = values @ values
        while damping < MAX_DAMPING:
            step = np.zeros(len(place))
            step[free] = np.linalg.solve(matrix + damping * diagonal, downhill[free])
            trial = np.clip(place + step, low, high)
            found = residual(trial)
            if found @ found < before:
                break
            damping *= 10.0
        else:
            return place
        place, values, damping = trial, found, 0.1 * damping
        if found @ found > (1.0 - tolerance) * before:
            break
    return place
