"""The shift between point lists and the fit of their displacement."""

from __future__ import annotations

import numpy as np

from diapipe.numerics.polynomials import chebyshev_terms
from diapipe.numerics.registration import coarse_offset, fit_displacement


def test_a_large_shift_is_voted_for(rng):
    """A shift of tens of pixels is found to the scatter of the points among as many points without a partner."""
    points = rng.uniform(0, 1000, (200, 2))
    shift = np.array([[37.4, -22.8]])
    targets = np.concatenate([points[:120] + shift + rng.normal(0, 0.1, (120, 2)), rng.uniform(0, 1000, (120, 2))])
    found = coarse_offset(points, targets, radius=60.0)
    assert found is not None
    np.testing.assert_allclose([found.dx, found.dy], [37.4, -22.8], atol=0.1)
    assert found.significance > 20


def test_unrelated_points_agree_on_nothing(rng):
    """Points without partners give no significant shift (sigma of a maximum over 3600 cells stays below 6)."""
    found = coarse_offset(rng.uniform(0, 1000, (200, 2)), rng.uniform(0, 1000, (200, 2)), radius=60.0)
    assert found is not None
    assert found.significance < 6


def test_no_pair_in_reach():
    """Points far apart have no shift."""
    assert coarse_offset(np.zeros((3, 2)), np.full((3, 2), 1e3), radius=10.0) is None


def test_a_field_is_recovered_among_outliers(rng):
    """A cubic field of 0.05 px comes out to its error, sigma sqrt(10/500), with a tenth of wrong matches."""
    u, v = rng.uniform(-1, 1, (2, 500))
    truth = rng.normal(0, 0.03, (2, 10))
    sigma = rng.uniform(0.01, 0.05, 500)
    data = (truth @ chebyshev_terms(u, v, 3)).T + rng.normal(size=(500, 2)) * sigma[:, None]
    data[::10] += rng.uniform(-1.5, 1.5, (50, 2))
    fit = fit_displacement(u, v, data, sigma, max_order=7)
    grid = np.meshgrid(np.linspace(-1, 1, 20), np.linspace(-1, 1, 20))
    made = np.stack([fit.x, fit.y]) @ chebyshev_terms(grid[0].ravel(), grid[1].ravel(), fit.order)
    missed = made - truth @ chebyshev_terms(grid[0].ravel(), grid[1].ravel(), 3)
    assert 3 <= fit.order <= 5
    assert missed.std() < 0.006
    assert fit.significance > 20
    assert fit.kept[::10].mean() < 0.2
    assert fit.extra_sigma < 0.01


def test_nothing_is_found_where_nothing_is(rng):
    """Without a displacement the fit is not significant: over 200 trials fewer than 1% exceed 3.5 sigma."""
    u, v = rng.uniform(-1, 1, (2, 300))
    high = 0
    for _ in range(200):
        fit = fit_displacement(u, v, rng.normal(0, 0.05, (300, 2)), np.full(300, 0.05), max_order=5)
        high += fit.significance > 3.5
    assert high <= 2


def test_underestimated_errors_are_found(rng):
    """Scatter beyond the errors is measured: 0.05 px where 0.01 px were claimed, to the error of a median of 400."""
    u, v = rng.uniform(-1, 1, (2, 400))
    fit = fit_displacement(u, v, rng.normal(0, 0.05, (400, 2)), np.full(400, 0.01), max_order=3)
    np.testing.assert_allclose(np.hypot(fit.extra_sigma, 0.01), 0.05, rtol=0.2)


def test_two_points_are_too_few():
    """Fewer than three points give no field."""
    fit = fit_displacement(np.zeros(2), np.zeros(2), np.ones((2, 2)), np.ones(2))
    assert fit.order == -1
    assert fit.significance == 0
