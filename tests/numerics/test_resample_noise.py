"""Correlation of the weights of an interpolation, against the definition."""

import numpy as np
import pytest

from diapipe.numerics.interpolant import LANCZOS, Interpolant
from diapipe.numerics.resample_noise import _weight_correlations


def by_definition(position, shift, interpolant, max_lag):
    """Each pair of taps that are a lag apart, one by one."""
    result = np.zeros((len(position), len(shift), 2 * max_lag + 1))
    for s, at in enumerate(position):
        first, here = interpolant.weights(np.array([at]))
        for d, by in enumerate(shift):
            other, there = interpolant.weights(np.array([at + by]))
            for i, weight in enumerate(here[0]):
                for j, partner in enumerate(there[0]):
                    lag = int(other[0]) + j - int(first[0]) - i
                    if abs(lag) <= max_lag:
                        result[s, d, lag + max_lag] += weight * partner
    return result


@pytest.mark.parametrize("interpolant", [LANCZOS, Interpolant(stretch=1.7)])
def test_weights_are_correlated_as_the_definition_says(rng, interpolant):
    """To rounding: sums of some ten products of order one. Shifts lead up to, and beyond, the reach of the taps."""
    position, shift = rng.uniform(-3.0, 50.0, 7), np.linspace(-9.0, 9.0, 12)
    for max_lag in (0, 4):
        found = _weight_correlations(position, shift, interpolant, max_lag)
        np.testing.assert_allclose(found, by_definition(position, shift, interpolant, max_lag), atol=1e-14)
