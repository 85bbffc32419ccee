"""Scatter beyond claimed errors: recovered, zero where there is none, blind to outliers."""

from __future__ import annotations

import numpy as np
import pytest

from diapipe.numerics.excess import excess_scatter, excess_variance


@pytest.mark.parametrize("scatter", [0.003, 0.03])
def test_scatter_is_recovered_whatever_the_errors(scatter, rng):
    """Of 2,000 values with errors from 0.001 to 0.1 the scatter is right within four of its errors, s/sqrt(2 n) of
    those n that are known better than s.
    """
    error = 10.0 ** rng.uniform(-3.0, -1.0, 2000)
    found = excess_scatter(rng.normal(0.0, np.hypot(scatter, error)), error)
    n_telling = (error < scatter).sum()
    assert abs(found / scatter - 1.0) < 4.0 / np.sqrt(2 * n_telling)


@pytest.mark.parametrize("clip_sigma", [2.0, 3.0])
def test_a_narrower_cut_tells_the_same(clip_sigma, rng):
    """Of 20,000 values, within four errors: 1.5 of those without a cut."""
    values, error = rng.normal(0.0, np.hypot(0.01, 0.002), 20000), np.full(20000, 0.002)
    found = np.sqrt(excess_variance(values, error, clip_sigma=clip_sigma))
    assert abs(found / 0.01 - 1.0) < 4.0 * 1.5 / np.sqrt(40000)


def test_the_best_known_values_do_not_tell_it_alone(rng):
    """A quarter of the values, those of the least errors, are off by 5%: the others' 0.3% is told, within four of its
    errors: twice 1/√(2 n) of the 1,800, whose own are as large, and 1.5 for the cut.
    """
    error = np.repeat([0.0005, 0.003], [600, 1800])
    values = rng.normal(0.0, np.hypot(0.003, error))
    values[:600] = 0.05 * rng.choice([-1.0, 1.0], 600)
    told = np.sqrt(excess_variance(values, error, clip_sigma=2.0))
    assert told == pytest.approx(0.003, rel=4.0 * 2.0 * 1.5 / np.sqrt(3600.0))


@pytest.mark.parametrize("clip_sigma", [2.0, 3.5])
def test_many_that_know_nothing_do_not_outvote_few(clip_sigma, rng):
    """Eight values of errors 0.1% are off by 1.5% to either side, 300 of errors of 20% by a little less than these say:
    1.5% is told, and up to 13% more, as of a Gaussian that was cut at two sigma; the 300 weigh a thousandth.
    """
    error = np.repeat([0.001, 0.2], [8, 300])
    values = np.r_[np.tile([-0.015, 0.015], 4), rng.normal(0.0, 0.19, 300)]
    found = np.sqrt(excess_variance(values, error, clip_sigma=clip_sigma))
    assert 0.9 * 0.015 < found < 1.2 * 0.015


def test_nothing_beyond_the_errors_is_nothing(rng):
    """Where the errors say it all, what is found is less than half of the smallest of them."""
    error = 10.0 ** rng.uniform(-2.0, -1.0, 2000)
    assert excess_scatter(rng.normal(0.0, error), error) < 0.005


def test_outliers_and_gaps_do_not_count(rng):
    """A twentieth of wild values and some that are none move the scatter by less than a tenth."""
    error = np.full(2000, 0.01)
    values = rng.normal(0.0, np.hypot(0.02, error))
    wild = values.copy()
    wild[::20] += rng.choice([-1.0, 1.0], 100) * rng.uniform(0.5, 3.0, 100)
    wild[5], error[7] = np.nan, np.inf
    assert excess_scatter(wild, error) == pytest.approx(excess_scatter(values[error < 1], error[error < 1]), rel=0.1)


def test_too_few_tell_nothing():
    """Of one value, or none, no scatter is known."""
    assert excess_scatter(np.array([0.3]), np.array([0.1])) == 0.0
    assert excess_scatter(np.array([]), np.array([])) == 0.0
