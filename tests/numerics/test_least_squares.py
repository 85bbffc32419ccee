"""The small solver of non-linear least squares, against scipy's and against known minima."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import optimize

from diapipe.numerics.least_squares import least_squares

UNBOUND = np.full(2, np.inf)


def test_rosenbrock_valley():
    """From the classic start the classic minimum, (1, 1), where the residuals vanish."""
    found = least_squares(
        lambda p: np.array([10.0 * (p[1] - p[0] ** 2), 1.0 - p[0]]), np.array([-1.2, 1.0]), low=-UNBOUND, high=UNBOUND
    )
    assert found == pytest.approx([1.0, 1.0], abs=1e-6)


@pytest.mark.parametrize("ceiling", [9.0, 0.4])
def test_bounded_fit_agrees_with_scipy(rng, ceiling):
    """An exponential in noise, its rate free or held by its bound: the sum of squares is scipy's to 1e-6."""
    t = np.linspace(0.0, 3.0, 80)
    data = 2.0 * np.exp(-0.7 * t) + rng.normal(0.0, 0.05, len(t))

    def residual(p):
        return p[0] * np.exp(-p[1] * t) - data

    low, high, start = np.array([0.0, 0.0]), np.array([9.0, ceiling]), np.array([1.0, 0.2])
    found = least_squares(residual, start, low=low, high=high)
    best = optimize.least_squares(residual, start, bounds=(low, high), xtol=1e-12, ftol=1e-12)
    assert ((low <= found) & (found <= high)).all()
    assert np.sum(residual(found) ** 2) == pytest.approx(2.0 * best.cost, rel=1e-6)
    assert found == pytest.approx(best.x, abs=1e-3)


def test_no_slope_means_no_step():
    """Parameters that change nothing stay where they began."""
    start = np.array([0.3, 0.4])
    found = least_squares(lambda p: np.ones(5), start, low=-UNBOUND, high=UNBOUND)
    assert (found == start).all()
