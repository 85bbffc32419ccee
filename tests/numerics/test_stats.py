"""Robust statistics against slow twins and closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from diapipe.numerics.stats import ClippedMean, clipped_mean, finite, median, robust_sigma, thinned

samples = arrays.arrays(
    np.float64, st.integers(1, 60), elements=st.floats(-1e3, 1e3) | st.sampled_from([math.nan, math.inf, -math.inf])
)


def quantile(values: list[float], q: float) -> float:
    """Linear interpolation between order statistics."""
    place = q * (len(values) - 1)
    low = math.floor(place)
    high = min(low + 1, len(values) - 1)
    return values[low] + (place - low) * (values[high] - values[low])


def twin(values: np.ndarray, n_sigma: float, n_iter: int) -> ClippedMean:
    """The definition, a list at a time: median and IQR first, then mean and standard deviation of what survives."""
    sample = sorted(float(v) for v in values if math.isfinite(v))
    if not sample:
        return ClippedMean(math.nan, math.nan, 0)
    centre, sigma = quantile(sample, 0.5), 0.741301 * (quantile(sample, 0.75) - quantile(sample, 0.25))
    n = len(sample)
    for _ in range(n_iter):
        kept = [v for v in sample if abs(v - centre) <= n_sigma * sigma]
        if not kept:
            break
        n, centre = len(kept), math.fsum(kept) / len(kept)
        sigma = math.sqrt(math.fsum((v - centre) ** 2 for v in kept) / n)
    return ClippedMean(centre, sigma, n)


@pytest.mark.parametrize("seed", range(20))
def test_clipping_is_what_its_definition_says(seed):
    """Gaussians with a third of outliers and with holes: no value is within rounding of a clipping edge."""
    generator = np.random.default_rng(seed)
    values = generator.normal(5.0, 2.0, 120)
    values[::3] += generator.exponential(30.0, 40)
    values[::17] = np.nan
    got, expected = clipped_mean(values), twin(values, 3.0, 3)
    assert got.n == expected.n
    np.testing.assert_allclose(got, expected, rtol=1e-12)


@given(samples)
def test_clipping_always_ends_in_numbers(values):
    """Whatever comes in: no warning, at least one sample kept where one is finite, NaN and 0 where none is."""
    result = clipped_mean(values)
    if np.isfinite(values).any():
        assert math.isfinite(result.mean)
        assert result.sigma >= 0
        assert 1 <= result.n <= np.isfinite(values).sum()
    else:
        assert (math.isnan(result.mean), math.isnan(result.sigma), result.n) == (True, True, 0)


def test_the_mean_of_a_clipped_gaussian_is_its_mean(rng):
    """40,000 values, 5% of them 50 sigma off: the mean to 4 / sqrt(38000) = 0.02, the clip takes 1.3% of sigma."""
    values = rng.normal(10.0, 1.0, 40_000)
    values[:2000] += 50.0
    result = clipped_mean(values)
    assert abs(result.mean - 10) < 0.02
    assert abs(result.sigma - 0.9866) < 4 / math.sqrt(2 * 38_000)


def test_equal_values_have_no_scatter():
    assert clipped_mean(np.full(9, 4.5)) == ClippedMean(4.5, 0.0, 9)


@pytest.mark.parametrize("values", [np.array([]), np.array([np.nan, np.inf])])
def test_nothing_finite_is_said_by_nan(values):
    assert math.isnan(median(values))
    assert math.isnan(robust_sigma(values))
    assert clipped_mean(values).n == 0


def test_robust_sigma_of_a_gaussian_is_its_sigma(rng):
    """The scatter of 0.7413 IQR is 1.17 sigma / sqrt(n): four of them allowed."""
    assert abs(robust_sigma(rng.normal(0, 3.0, 100_000)) / 3 - 1) < 4 * 1.17 / math.sqrt(100_000)


@given(samples)
def test_the_median_splits_the_finite_values(values):
    middle, sample = median(values), finite(values)
    if len(sample):
        assert (sample <= middle).sum() * 2 >= len(sample)
        assert (sample >= middle).sum() * 2 >= len(sample)


@given(st.integers(0, 500), st.integers(1, 100))
def test_thinning_keeps_about_as_many_as_asked(n, at_most):
    """Every n-th of the values, in order; fewer than twice the number asked for."""
    kept = thinned(np.arange(n, dtype=np.float64), at_most)
    assert len(kept) == n if n < 2 * at_most else at_most <= len(kept) < 2 * at_most
    assert (np.diff(kept) == (kept[1] - kept[0] if len(kept) > 1 else 0)).all()
