"""StampSums: each stamp reduced to a small normal matrix once; what a fit needs of the pixels are sums of these.

Per stamp: M = Xᵀ W X, b = Xᵀ W I, c = Iᵀ W I, with X the basis images convolved with T and a column of ones, W the
inverse variance, zero on masked pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from diapipe.numerics.arrays import FloatArray, IntArray


@dataclass(frozen=True, slots=True, eq=False)
class StampSums:
    """Normal matrices of all stamps; the last row and column belong to the background.

    Attributes
    ----------
    matrix
        Shape (n_stamps, n_basis + 1, n_basis + 1).
    vector
        Shape (n_stamps, n_basis + 1).
    square
        Shape (n_stamps,): weighted sum of the squared reference pixels.
    noise
        Shape (n_stamps,): Σ W V_T, the noise of the convolved image in the matrix is this times B_i · B_j.
    n_pixels
        Shape (n_stamps,): pixels with weight.
    """

    matrix: FloatArray
    vector: FloatArray
    square: FloatArray
    noise: FloatArray
    n_pixels: FloatArray

    def select(self, which: IntArray) -> StampSums:
        """The sums of some stamps."""
        return StampSums(
            self.matrix[which], self.vector[which], self.square[which], self.noise[which], self.n_pixels[which]
        )


def chi_squares(sums: StampSums, local: FloatArray) -> FloatArray:
    """χ² of every stamp for the coefficients of its own model (`KernelSolution.local`); shape (n_stamps,)."""
    quadratic = np.einsum("ci,cij,cj->c", local, sums.matrix, local, optimize=True)
    return np.asarray(sums.square - 2.0 * (local * sums.vector).sum(axis=1) + quadratic, dtype=np.float64)


FREE_SKY = 1e6
"""Scatter of the stamps' constants, in counts, that leaves the sky of each to itself."""


def loosened(sums: StampSums, scatter: float) -> StampSums:
    """The sums when the constant of a stamp may lie off the background field by ``scatter``, one sigma.

    The offsets are integrated over, W' = W - W 1 1ᵀ W / (1ᵀ W 1 + 1/scatter²). A kernel fitted to these does not follow
    what the two skies leave, which in a crowded field goes with the density of the stars and would end in its wings.
    """
    own = sums.matrix[:, -1, -1]
    row, level = sums.matrix[:, -1], sums.vector[:, -1]
    part = scatter**2 / (1.0 + scatter**2 * own)
    return StampSums(
        sums.matrix - row[:, :, None] * (row * part[:, None])[:, None, :],
        sums.vector - row * (level * part)[:, None],
        sums.square - level**2 * part,
        sums.noise,
        sums.n_pixels,
    )


def sky_free(sums: StampSums) -> StampSums:
    """The sums when the constant of every stamp is its own affair."""
    return loosened(sums, FREE_SKY)


def offsets(sums: StampSums, local: FloatArray) -> tuple[FloatArray, FloatArray]:
    """By how much the constant of each stamp lies off that in ``local``, and its variance; shape (n_stamps,).

    ``sums`` are not loosened.
    """
    own = np.maximum(sums.matrix[:, -1, -1], 1e-300)
    return (sums.vector[:, -1] - np.einsum("ci,ci->c", sums.matrix[:, -1], local)) / own, 1.0 / own


NOISE_RIDGE = 0.08
"""Part of the noise term that is left in place, see `noise_free`."""


def noise_free(sums: StampSums, basis_products: FloatArray, *, part: float = 1.0) -> StampSums:
    """Take out of the matrices what the noise of the convolved image adds to them.

    Least squares with noise in the regressors is biased towards a kernel that is too small and too narrow; the expected
    noise term, Σ_p w_p V_T B_i · B_j, is known and can be subtracted (Fuller 1987, measurement error models, eq.
    1.2.3). What is subtracted is an expectation, so `NOISE_RIDGE` of it goes back on the diagonal: directions of
    which the stamps tell less than the noise fluctuates stay near zero instead of turning negative.

    Parameters
    ----------
    sums
        As summed from the pixels.
    basis_products
        Shape (n_basis, n_basis): B_i · B_j.
    part
        Of the noise that is to go.
    """
    n = len(basis_products)
    matrix = sums.matrix.copy()
    ridged = basis_products - NOISE_RIDGE * np.diag(np.r_[0.0, np.diag(basis_products)[1:]])
    matrix[:, :n, :n] -= part * sums.noise[:, None, None] * ridged
    return StampSums(matrix, sums.vector, sums.square, sums.noise, sums.n_pixels)
