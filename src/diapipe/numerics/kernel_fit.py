"""Normal equations of a matching kernel: each stamp is reduced to a small matrix once, every fit only re-sums those.

Model of a stamp at a place with spatial terms f and background terms g:

    I = k0 (T ⊗ B_0) + Σ_{n>0} Σ_t a_{n,t} f_t (T ⊗ B_n) + Σ_s b_s g_s

Clipping a stamp, another spatial order, a cross-validation fold: all are sums of the stamps' own matrices
(`stamp_sums.StampSums`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce

import numpy as np
from scipy import linalg

from diapipe.numerics.arrays import FloatArray, IntArray
from diapipe.numerics.stamp_sums import StampSums


@dataclass(frozen=True, slots=True, eq=False)
class KernelSolution:
    """Coefficients of a spatially varying kernel and background.

    Attributes
    ----------
    kernel
        Shape (n_basis, n_kernel_terms); the first row is (k0, 0, 0, ...).
    background
        Shape (n_background_terms,).
    """

    kernel: FloatArray
    background: FloatArray

    def local(self, kernel_terms: FloatArray, background_terms: FloatArray) -> FloatArray:
        """Coefficients of every stamp's own model; shape (n_stamps, n_basis + 1).

        Parameters
        ----------
        kernel_terms, background_terms
            Shape (n_terms, n_stamps).
        """
        return np.concatenate([self.kernel @ kernel_terms, (self.background @ background_terms)[None]]).T


@dataclass(frozen=True, slots=True, eq=False)
class NormalEquations:
    """The stamps summed for one set of spatial terms, in the order k0; a_{1,0}, a_{1,1}, ...; b_0, b_1, ...

    Attributes
    ----------
    matrix, vector
        Shapes (n, n) and (n,).
    n_basis, n_kernel, n_background
        Basis images, spatial terms of each but the first, terms of the background.
    """

    matrix: FloatArray
    vector: FloatArray
    n_basis: int
    n_kernel: int
    n_background: int

    def plus(self, part: NormalEquations) -> NormalEquations:
        """The sums of these stamps and of others."""
        return replace(self, matrix=self.matrix + part.matrix, vector=self.vector + part.vector)

    def without(self, part: NormalEquations) -> NormalEquations:
        """The sums of the stamps that are not in ``part``."""
        return replace(self, matrix=self.matrix - part.matrix, vector=self.vector - part.vector)

    def solution(
        self,
        *,
        penalty: FloatArray | None = None,
        max_terms: IntArray | None = None,
        kernel_sum: float | None = None,
    ) -> KernelSolution:
        """Kernel and background of least χ²; arguments as in `solve`."""
        matrix, vector = self._regularised(penalty), self.vector
        used = self._used(max_terms)
        solution = np.zeros(len(vector))
        if kernel_sum is not None:
            solution[0], used = kernel_sum, used[1:]
            vector = vector - kernel_sum * matrix[:, 0]
        solution[used] = solved(matrix[np.ix_(used, used)], vector[used])
        inner = (self.n_basis - 1) * self.n_kernel
        kernel = np.zeros((self.n_basis, self.n_kernel))
        kernel[0, 0] = solution[0]
        kernel[1:] = solution[1 : 1 + inner].reshape(self.n_basis - 1, self.n_kernel)
        return KernelSolution(kernel, solution[1 + inner :])

    def kernel_sum_variance(self, *, penalty: FloatArray | None = None, max_terms: IntArray | None = None) -> float:
        """Variance of the kernel sum for pixels that scatter as their weights say.

        The first element of (M + P)⁻¹ M (M + P)⁻¹ with the penalty P. Arguments as in `solve`.
        """
        used = self._used(max_terms)
        first = solved(self._regularised(penalty)[np.ix_(used, used)], np.eye(len(used))[0])
        return float(first @ self.matrix[np.ix_(used, used)] @ first)

    def condition_number(self, *, penalty: FloatArray | None = None, max_terms: IntArray | None = None) -> float:
        """Largest over smallest eigenvalue of the matrix scaled to a unit diagonal; infinite where it is singular.

        Arguments as in `solve`.
        """
        used = self._used(max_terms)
        matrix = self._regularised(penalty)[np.ix_(used, used)]
        scale = 1.0 / np.sqrt(np.maximum(np.diag(matrix), 1e-300))
        values = np.linalg.eigvalsh(matrix * np.outer(scale, scale))
        return float(values[-1] / values[0]) if values[0] > 0 else float("inf")

    def _regularised(self, penalty: FloatArray | None) -> FloatArray:
        """The matrix with a penalty on the kernel of each spatial term: that of the first one includes k0 B_0."""
        if penalty is None:
            return self.matrix
        matrix = self.matrix.copy()
        shaped = np.kron(penalty[1:, 1:], np.eye(self.n_kernel))
        last = 1 + len(shaped)
        matrix[1:last, 1:last] += shaped
        matrix[0, 0] += penalty[0, 0]
        matrix[0, 1 : last : self.n_kernel] += penalty[0, 1:]
        matrix[1 : last : self.n_kernel, 0] += penalty[1:, 0]
        return matrix

    def _used(self, max_terms: IntArray | None) -> IntArray:
        """Indices of the unknowns that are fitted."""
        if max_terms is None:
            return np.arange(len(self.vector))
        free = np.arange(self.n_kernel) < max_terms[1:, None]
        return np.flatnonzero(np.r_[True, free.ravel(), np.ones(self.n_background, dtype=bool)])


def solve(
    sums: StampSums,
    kernel_terms: FloatArray,
    background_terms: FloatArray,
    *,
    penalty: FloatArray | None = None,
    max_terms: IntArray | None = None,
    kernel_sum: float | None = None,
) -> KernelSolution:
    """Kernel and background of least χ² over all stamps, with a constant kernel sum.

    Parameters
    ----------
    sums
        Of the stamps to use.
    kernel_terms, background_terms
        Spatial terms at the stamps, shape (n_terms, n_stamps).
    penalty
        Quadratic penalty on the basis coefficients, shape (n_basis, n_basis), the same for every spatial term.
    max_terms
        How many spatial terms each basis image may have, shape (n_basis,); None lets all have all.
    kernel_sum
        To be had exactly; None fits it.

    Raises
    ------
    numpy.linalg.LinAlgError
        If the normal matrix is not finite.
    """
    equations = assembled(sums, kernel_terms, background_terms)
    return equations.solution(penalty=penalty, max_terms=max_terms, kernel_sum=kernel_sum)


def assembled(sums: StampSums, kernel_terms: FloatArray, background_terms: FloatArray) -> NormalEquations:
    """Sum the stamps; arguments as in `solve`."""
    n_stamps, n_basis, n_kernel = len(sums.matrix), sums.matrix.shape[1] - 1, len(kernel_terms)
    f, g = kernel_terms, background_terms
    inner = sums.matrix[:, 1:n_basis, 1:n_basis].reshape(n_stamps, -1)
    pairs = (f[:, None] * f[None]).reshape(n_kernel**2, n_stamps)
    block = (pairs @ inner).reshape(n_kernel, n_kernel, n_basis - 1, n_basis - 1).transpose(2, 0, 3, 1)
    n_inner = (n_basis - 1) * n_kernel
    size = 1 + n_inner + len(g)
    matrix, vector = np.zeros((size, size)), np.zeros(size)
    matrix[0, 0] = sums.matrix[:, 0, 0].sum()
    matrix[1 : 1 + n_inner, 1 : 1 + n_inner] = block.reshape(n_inner, n_inner)
    matrix[0, 1 : 1 + n_inner] = (f @ sums.matrix[:, 0, 1:n_basis]).T.ravel()
    matrix[0, 1 + n_inner :] = g @ sums.matrix[:, 0, n_basis]
    cross = (f[:, None] * g[None]).reshape(-1, n_stamps) @ sums.matrix[:, 1:n_basis, n_basis]
    matrix[1 : 1 + n_inner, 1 + n_inner :] = (
        cross.reshape(n_kernel, len(g), n_basis - 1).transpose(2, 0, 1).reshape(n_inner, len(g))
    )
    matrix[1 + n_inner :, 1 + n_inner :] = (g * sums.matrix[:, n_basis, n_basis]) @ g.T
    lower = np.tril_indices(size, -1)
    matrix[lower] = matrix.T[lower]
    vector[0] = sums.vector[:, 0].sum()
    vector[1 : 1 + n_inner] = (f @ sums.vector[:, 1:n_basis]).T.ravel()
    vector[1 + n_inner :] = g @ sums.vector[:, n_basis]
    return NormalEquations(matrix, vector, n_basis, n_kernel, len(g))


CONDITION_FLOOR = 1e-10
"""Eigenvalues of the scaled normal matrix below this fraction of the largest carry no information and are left out."""


def solved(matrix: FloatArray, vector: FloatArray) -> FloatArray:
    """Solve a symmetric system scaled to a unit diagonal, by Cholesky, or without its null space where that fails.

    Parameters
    ----------
    matrix, vector
        Shapes (n, n) and (n,).
    """
    scale = np.sqrt(np.maximum(np.diag(matrix), 1e-300))
    scaled = matrix / np.outer(scale, scale)
    try:
        factor = linalg.cho_factor(scaled + 1e-12 * np.eye(len(scaled)))
        return np.asarray(linalg.cho_solve(factor, vector / scale) / scale, dtype=np.float64)
    except linalg.LinAlgError:
        values, vectors = np.linalg.eigh(scaled)
        keep = values > CONDITION_FLOOR * values[-1]
        part = vectors[:, keep]
        return np.asarray((part @ ((part.T @ (vector / scale)) / values[keep])) / scale, dtype=np.float64)


def held_out(
    sums: StampSums,
    kernel_terms: FloatArray,
    background_terms: FloatArray,
    *,
    max_terms: Sequence[IntArray],
    n_folds: int = 5,
    penalty: FloatArray | None = None,
) -> list[FloatArray]:
    """Coefficients of every stamp's own model as fitted to the other folds; stamp c is in fold c mod ``n_folds``.

    Parameters
    ----------
    sums, kernel_terms, background_terms, penalty
        As in `solve`.
    max_terms
        Models to try, each by the number of spatial terms of every basis image.
    n_folds
        Parts into which the stamps are split.

    Returns
    -------
    list of FloatArray
        For every model, shape (n_stamps, n_basis + 1).
    """
    fold_of = np.arange(len(sums.matrix)) % n_folds
    folds = [np.flatnonzero(fold_of == fold) for fold in range(n_folds)]
    parts = [assembled(sums.select(out), kernel_terms[:, out], background_terms[:, out]) for out in folds]
    whole = reduce(NormalEquations.plus, parts)
    local = [np.empty(sums.vector.shape) for _ in max_terms]
    for out, part in zip(folds, parts, strict=True):
        rest = whole.without(part)
        for limits, found in zip(max_terms, local, strict=True):
            solution = rest.solution(penalty=penalty, max_terms=limits)
            found[out] = solution.local(kernel_terms[:, out], background_terms[:, out])
    return local
