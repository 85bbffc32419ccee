"""Small systems of equations solved in place."""

from __future__ import annotations

import numpy as np
import pytest

from diapipe.numerics.small_systems import RIDGE, factorize, make_regular, solve_factored


@pytest.mark.parametrize("size", [1, 2, 5, 12])
def test_solutions_are_those_of_numpy(size, rng):
    """To 1e-9 for systems of condition up to 1e4; only the lower triangle is looked at."""
    root = rng.normal(size=(size, size + 3))
    matrix, vector = root @ root.T, rng.normal(size=size)
    expected = np.linalg.solve(matrix, vector)
    factor = np.tril(matrix)
    factorize(factor)
    np.testing.assert_allclose(np.tril(factor), np.linalg.cholesky(matrix), rtol=1e-9)
    solve_factored(factor, vector)
    np.testing.assert_allclose(vector, expected, rtol=1e-9, atol=1e-9)


def test_what_nothing_tells_stays_finite():
    """A parameter that no pixel depends on is 0; of two that do the same each gets half."""
    matrix, vector = np.zeros((3, 3)), np.array([0.0, 4.0, 4.0])
    matrix[1:, 1:] = 2.0
    make_regular(matrix)
    assert matrix[0, 0] == 1.0
    assert matrix[1, 1] == pytest.approx(2.0 * (1.0 + RIDGE), rel=1e-15)
    factorize(matrix)
    solve_factored(matrix, vector)
    np.testing.assert_allclose(vector, [0.0, 1.0, 1.0], rtol=1e-4)
