"""Systems of a few linear equations with a symmetric matrix, solved in place inside compiled loops."""

from __future__ import annotations

import numpy as np

from diapipe.numerics.arrays import FloatArray
from diapipe.numerics.jit import inlined

RIDGE = 1e-10
"""Part of the diagonal that is added to it, so that what nothing tells apart has a solution."""


@inlined
def make_regular(matrix: FloatArray) -> None:
    """Add the ridge; a parameter that nothing depends on gets 1."""
    for i in range(matrix.shape[0]):
        matrix[i, i] += RIDGE * matrix[i, i] if matrix[i, i] > 0.0 else 1.0


@inlined
def factorize(matrix: FloatArray) -> None:
    """Replace the lower triangle by Cholesky's factor; what is left of a pivot is at least a millionth of the ridge."""
    for i in range(matrix.shape[0]):
        least = 1e-6 * RIDGE * matrix[i, i]
        for j in range(i + 1):
            total = matrix[i, j]
            for k in range(j):
                total -= matrix[i, k] * matrix[j, k]
            matrix[i, j] = total / matrix[j, j] if j < i else np.sqrt(max(total, least))


@inlined
def solve_factored(factor: FloatArray, vector: FloatArray) -> None:
    """Replace ``vector`` by the solution for the matrix that `factorize` was given."""
    n = len(vector)
    for i in range(n):
        for k in range(i):
            vector[i] -= factor[i, k] * vector[k]
        vector[i] /= factor[i, i]
    for back in range(n):
        i = n - 1 - back
        for k in range(i + 1, n):
            vector[i] -= factor[k, i] * vector[k]
        vector[i] /= factor[i, i]
