"""Few images of which many are sums."""

from __future__ import annotations

import numpy as np

from diapipe.numerics.arrays import FloatArray


def image_basis(images: FloatArray, tolerance: float) -> tuple[FloatArray, FloatArray]:
    """Orthonormal images of which given ones are sums, nearly.

    The image of which most is left joins the basis, less what it shares with it, until little is left of any
    (Gram-Schmidt with pivots): no further from the fewest possible than a few images, and linear in their number.

    Parameters
    ----------
    images
        Shape (n, height, width).
    tolerance
        Norm of what may be left of each, in units of the largest of them.

    Returns
    -------
    basis
        Shape (m, height, width).
    shares
        Of each image of the basis in the given ones, shape (n, m).
    """
    rows = images.reshape(len(images), -1)
    square = np.einsum("ij,ij->i", rows, rows)
    left, least = square.copy(), tolerance**2 * square.max()
    basis: list[FloatArray] = []
    shares: list[FloatArray] = []
    while left.max() > least and len(basis) < min(rows.shape):
        most = rows[left.argmax()].copy()
        for _ in range(2):  # once more, against rounding
            for image in basis:
                most -= (most @ image) * image
        basis.append(most / np.linalg.norm(most))
        shares.append(rows @ basis[-1])
        left -= shares[-1] ** 2
    return np.array(basis).reshape(-1, *images.shape[1:]), np.array(shares).reshape(-1, len(images)).T
