"""Strength of a regularisation from the data: the λ of least expected squared error of the kernel.

With M the normal matrix of the stamps, b its vector (covariance M) and k̂ = (M' + λH)⁻¹ b, an estimate of
E|k̂ - k|² - |k|² is

    R(λ) = k̂ᵀ P k̂ + 2 (tr P (M' + λH)⁻¹ - k̂ᵀ M⁻ b),

where M⁻ inverts M on the directions that P keeps. All of them kept, it is unbiased where M' is M; leaving out those
that the stamps hardly measure makes it steadier, and biased by the error in them (SPEC C.3; Becker et al. 2012,
section 3). M' is M without the noise of the convolved image: then M⁻ b is too small in directions of which the stamps
hold more noise than kernel, where there is little of it; the inverse of M' would be unbiased, and scatter without
bounds.
"""

from __future__ import annotations

import numpy as np
from scipy import linalg

from diapipe.numerics.arrays import FloatArray

ROUNDING = 1e-13
"""Eigenvalues below this fraction of the largest are zero but for rounding."""


def risks(
    matrix: FloatArray,
    vector: FloatArray,
    form: FloatArray,
    strengths: FloatArray,
    *,
    max_condition: float | None,
    solved_with: FloatArray | None = None,
) -> FloatArray:
    """R(λ) for every λ of ``strengths``; the shape of these.

    Parameters
    ----------
    matrix, vector
        M and b of the kernel's pixels, shapes (n, n) and (n,).
    form
        H, shape (n, n).
    strengths
        λ to try.
    max_condition
        Directions whose eigenvalue is smaller than the largest by more than this factor are left out; None keeps all
        that are not zero by rounding.
    solved_with
        M', shape (n, n); None takes M.
    """
    values, vectors = np.linalg.eigh(matrix)
    floor = ROUNDING if max_condition is None else max(1.0 / max_condition, ROUNDING)
    kept = values > floor * values[-1]
    directions = vectors[:, kept]
    plain = directions @ ((directions.T @ vector) / values[kept])
    # axes along which both forms are diagonal: every λ is then a division
    ridge = ROUNDING * np.trace(form) * np.eye(len(form))
    measured, axes = linalg.eigh(matrix if solved_with is None else solved_with, form + ridge, check_finite=False)
    shares = 1.0 / (np.maximum(measured, 0.0) + np.maximum(strengths, 1e-300)[:, None])
    kernels = (shares * (axes.T @ vector)) @ axes.T
    inside = kernels @ directions
    trace = shares @ ((directions.T @ axes) ** 2).sum(axis=0)
    return np.asarray((inside**2).sum(axis=1) + 2.0 * (trace - kernels @ plain))


def strength_grid(*, least: float, greatest: float, step: float, spacing: str) -> FloatArray:
    """λ from ``least`` to ``greatest``, both included; ``spacing`` log: these and the step are powers of ten."""
    n = int(np.floor((greatest - least) / step + 1e-9)) + 1
    grid = least + step * np.arange(max(n, 1))
    return np.asarray(10.0**grid if spacing == "log" else grid)
