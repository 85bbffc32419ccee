"""Of which spatial order a kernel is: chosen by how well stamps are predicted that it was not fitted to."""

from __future__ import annotations

import numpy as np

from diapipe.numerics.arrays import FloatArray, IntArray
from diapipe.numerics.kernel_fit import held_out
from diapipe.numerics.polynomials import n_terms, order_of
from diapipe.numerics.stamp_sums import StampSums, chi_squares

STAMPS_PER_TERM = 4
"""A spatial order, of kernel or background, is tried if there are this many stamps for each of its terms: a background
of order 2 through seven stamps left the noise by 1.5 sigma in a corner of the frame."""

ORDER_SIGMA = 1.0
"""A higher spatial order must lower the held-out χ² by this many standard errors, or the lower one is kept."""


def term_limits(max_orders: tuple[int, ...] | None, n_basis: int) -> IntArray:
    """Number of spatial terms that each basis image may have."""
    if max_orders is None:
        return np.full(n_basis, np.iinfo(np.int64).max)
    return np.array([n_terms(order) for order in max_orders], dtype=np.int64)


def affordable(order: int, n_stamps: int, stamps_per_term: int) -> int:
    """The highest order up to ``order`` for which there are enough stamps."""
    while order > 0 and n_terms(order) * stamps_per_term > n_stamps:
        order -= 1
    return order


def best_order(
    clean: StampSums,
    noisy: StampSums,
    kernel_terms: FloatArray,
    background_terms: FloatArray,
    *,
    penalty: FloatArray | None,
    max_orders: tuple[int, ...] | None,
) -> tuple[dict[int, float], int]:
    """Held-out χ² per pixel of every spatial order that the stamps allow, and the lowest that none beats for certain.

    The mean is over all but the worst twentieth of the stamps: one variable star must not choose the order.

    Parameters
    ----------
    clean, noisy
        Sums of the stamps that the kernel is fitted to, and that it is judged by.
    kernel_terms, background_terms
        Spatial terms at the stamps, shape (n_terms, n_stamps); those of the kernel of the highest order to try.
    penalty, max_orders
        What holds the coefficients, and the highest order for each image of the basis.
    """
    limits = term_limits(max_orders, clean.matrix.shape[1] - 1)
    highest = order_of(len(kernel_terms))
    tried = [np.minimum(limits, n_terms(order)) for order in range(highest + 1)]
    scores, chosen, best = {}, 0, np.empty(0)
    for order, local in enumerate(held_out(clean, kernel_terms, background_terms, penalty=penalty, max_terms=tried)):
        chi2 = chi_squares(noisy, local) / np.maximum(clean.n_pixels, 1.0)
        usual = chi2 <= np.quantile(chi2, 0.95)
        scores[order] = float(chi2[usual].mean())
        if order:
            gain = np.sort(best - chi2)[len(chi2) // 40 : len(chi2) - len(chi2) // 40]
            if gain.mean() <= ORDER_SIGMA * gain.std() / np.sqrt(len(gain)):
                continue
        chosen, best = order, chi2
    return scores, chosen
