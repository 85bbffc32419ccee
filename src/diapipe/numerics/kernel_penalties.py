"""Roughness of a kernel image as a quadratic form of its pixels, and how strongly a fit is held to be smooth by it.

A form H gives kᵀ H k for the pixels k of a kernel in row-major order; in the coefficients of a basis it is Aᵀ H A, with
the basis images as the columns of A.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from diapipe.numerics.arrays import FloatArray
from diapipe.numerics.kernel_bases import KernelBasis
from diapipe.numerics.stamp_sums import StampSums

STENCILS = {
    5: np.array([[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]]),
    9: np.array([[1.0, 4.0, 1.0], [4.0, -20.0, 4.0], [1.0, 4.0, 1.0]]) / 6.0,
}
"""Laplacians of 5 and of 9 points."""

DIFFERENCES = {1: (-1.0, 1.0), 2: (-1.0, 2.0, -1.0), 3: (-1.0, 3.0, -3.0, 1.0)}
"""Forward differences by their order."""


@dataclass(frozen=True, slots=True, eq=False)
class Penalty:
    """λ H, with λ given for one stamp of a fit, or in units of what the stamps say.

    Attributes
    ----------
    form
        H for the coefficients, shape (n_basis, n_basis).
    absolute
        λ for each stamp: its normal equations are M + λ H.
    relative
        λ tr(H) / tr(M), whatever the number and the brightness of the stamps; the traces are without B_0 and
        background.
    """

    form: FloatArray
    absolute: float = 0.0
    relative: float = 0.0

    def over(self, sums: StampSums) -> FloatArray:
        """λ H for the sum of these stamps; shape (n_basis, n_basis)."""
        information = float(np.einsum("cii->", sums.matrix[:, 1:-1, 1:-1]))
        strength = self.relative * information / max(float(np.trace(self.form[1:, 1:])), 1e-300)
        return (self.absolute * len(sums.matrix) + strength) * self.form

    def transformed(self, weights: FloatArray) -> Penalty:
        """The same for the basis Σ_m weights[n, m] B_m; ``relative`` stays the fraction of the new traces."""
        return Penalty(weights @ self.form @ weights.T, self.absolute, self.relative)


def in_coefficients(pixel_form: FloatArray, basis: KernelBasis) -> FloatArray:
    """The form for the coefficients of a basis, Aᵀ H A; shape (n_basis, n_basis)."""
    flat = basis.images.reshape(len(basis), -1)
    return np.asarray(flat @ pixel_form @ flat.T)


def central_differences(size: int, *, stencil: int, border_penalty: float) -> FloatArray:
    """Squared Laplacian of the inner pixels; on the outermost ones the square of ``border_penalty`` times the pixel.

    Parameters
    ----------
    size
        Side of the kernel in pixels.
    stencil
        Points of the Laplacian, 5 or 9.
    border_penalty
        Holds the border at zero.

    Returns
    -------
    FloatArray
        Shape (size², size²); H = BᵀB with a row of B for every pixel (SPEC C.3).
    """
    rows = np.zeros((size, size, size, size))
    for y in range(size):
        for x in range(size):
            if 0 < y < size - 1 and 0 < x < size - 1:
                rows[y, x, y - 1 : y + 2, x - 1 : x + 2] = STENCILS[stencil]
            else:
                rows[y, x, y, x] = border_penalty
    flat = rows.reshape(size**2, size**2)
    return np.asarray(flat.T @ flat)


def forward_differences(size: int, *, orders: tuple[int, ...], border_penalty: float) -> FloatArray:
    """Squared forward differences along both axes, summed over their orders.

    Where fewer pixels are left before the far border than an order needs, the highest that fits is taken; the last
    pixel of a row has ``border_penalty`` times its value instead.

    Parameters
    ----------
    size
        Side of the kernel in pixels.
    orders
        Each 1, 2 or 3.
    border_penalty
        Holds the far border at zero.

    Returns
    -------
    FloatArray
        Shape (size², size²); H = Σ BᵀB over orders and axes (SPEC C.3).
    """
    total = np.zeros((size, size))
    for order in orders:
        rows = np.zeros((size, size))
        for x in range(size):
            fits = min(order, size - 1 - x)
            if fits:
                rows[x, x : x + fits + 1] = DIFFERENCES[fits]
            else:
                rows[x, x] = border_penalty
        total += rows.T @ rows
    return np.kron(np.eye(size), total) + np.kron(total, np.eye(size))
