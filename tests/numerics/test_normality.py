"""Tests of normality against those of scipy, and against their own meaning."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy import stats

from diapipe.numerics.normality import ANDERSON_SIGNIFICANCE_PERCENT, anderson_darling, kolmogorov_smirnov

SAMPLES = {
    "gaussian": lambda rng, n: rng.normal(0, 1, n),
    "wide": lambda rng, n: rng.normal(0, 1.3, n),
    "shifted": lambda rng, n: rng.normal(0.3, 1, n),
    "heavy": lambda rng, n: rng.standard_t(3, n),
}


@pytest.mark.parametrize("n", [20, 200, 1681])
@pytest.mark.parametrize("kind", list(SAMPLES))
def test_the_statistics_are_those_of_scipy(rng, kind, n):
    """D, its probability and A² to rounding."""
    sample = SAMPLES[kind](rng, n)
    expected = stats.kstest(sample, "norm")
    found = kolmogorov_smirnov(sample)
    assert found.statistic == pytest.approx(expected.statistic, rel=1e-12)
    assert found.probability == pytest.approx(expected.pvalue, rel=1e-6)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        a_squared = stats.anderson(sample, "norm").statistic
    assert anderson_darling(sample).statistic == pytest.approx(a_squared, rel=1e-9)


def test_probabilities_of_gaussian_samples_are_uniform(rng):
    """Of 400 samples of 300, one in ten has a probability below 0.1: 40 +- 6; three allowed."""
    found = np.array([kolmogorov_smirnov(rng.normal(0, 1, 300)).probability for _ in range(400)])
    assert (found < 0.1).sum() == pytest.approx(40, abs=18)
    assert (found < 0.5).sum() == pytest.approx(200, abs=30)


def test_critical_values_are_exceeded_as_often_as_they_say(rng):
    """Of 600 Gaussian samples of any mean and width, to three times the binomial scatter."""
    found = [anderson_darling(rng.normal(5.0, 3.0, 100)) for _ in range(600)]
    for k, percent in enumerate(ANDERSON_SIGNIFICANCE_PERCENT):
        share = np.mean([result.statistic > result.critical[k] for result in found])
        p = percent / 100.0
        assert share == pytest.approx(p, abs=3.0 * np.sqrt(p * (1 - p) / 600))


def test_too_few_values_say_nothing():
    assert np.isnan(kolmogorov_smirnov(np.empty(0))).all()
    assert np.isnan(anderson_darling(np.arange(7.0)).statistic)
    assert np.isnan(anderson_darling(np.ones(50)).statistic)
