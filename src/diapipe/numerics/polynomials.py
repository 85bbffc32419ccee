"""Two-dimensional Chebyshev polynomials in triangular order: 1; x, y; x², xy, y²; ..."""

from __future__ import annotations

import numpy as np

from diapipe.numerics.arrays import FloatArray


def n_terms(order: int) -> int:
    """Number of terms of a complete 2-D polynomial of the given order: (order + 1)(order + 2) / 2."""
    return (order + 1) * (order + 2) // 2


def order_of(terms: int) -> int:
    """Order of the complete 2-D polynomial that has this many terms.

    Raises
    ------
    ValueError
        If no complete polynomial has that many terms.
    """
    order = int((np.sqrt(8 * terms + 1) - 3) / 2 + 0.5)
    if n_terms(order) != terms:
        raise ValueError(f"{terms} coefficients do not make a complete 2-D polynomial")
    return order


def exponents(order: int) -> list[tuple[int, int]]:
    """Degrees (in x, in y) of each term, in triangular order: (0, 0); (1, 0), (0, 1); (2, 0), (1, 1), (0, 2); ..."""
    return [(total - j, j) for total in range(order + 1) for j in range(total + 1)]


def chebyshev_1d(t: FloatArray, order: int) -> FloatArray:
    """Chebyshev polynomials T_0 ... T_order at ``t``; shape (order + 1, *t.shape)."""
    values = np.empty((order + 1, *t.shape))
    values[0] = 1.0
    if order >= 1:
        values[1] = t
    for n in range(2, order + 1):
        values[n] = 2.0 * t * values[n - 1] - values[n - 2]
    return values


def chebyshev_terms(u: FloatArray, v: FloatArray, order: int) -> FloatArray:
    """Products T_i(u) T_j(v), i + j <= order, in triangular order.

    Parameters
    ----------
    u, v
        Coordinates scaled to [-1, 1], of one shape.
    order
        Highest total degree.

    Returns
    -------
    FloatArray
        Shape (n_terms(order), *u.shape).
    """
    along_x, along_y = chebyshev_1d(u, order), chebyshev_1d(v, order)
    return np.stack([along_x[i] * along_y[j] for i, j in exponents(order)])


def monomial_terms(u: FloatArray, v: FloatArray, order: int) -> FloatArray:
    """Products u^i v^j, i + j <= order, in triangular order; shape (n_terms(order), *u.shape)."""
    return np.stack([u**i * v**j for i, j in exponents(order)])


def leverage(u: FloatArray, v: FloatArray, order: int) -> FloatArray:
    """Variance of a fitted polynomial, over its mean, where points all over the square told it alike.

    Parameters
    ----------
    u, v
        Coordinates scaled to [-1, 1], of one shape.
    order
        Highest total degree.

    Returns
    -------
    FloatArray
        The shape of ``u``; its mean over the square is 1.

    Notes
    -----
    Σ (2i + 1) (2j + 1) P_i(u)² P_j(v)² / n_terms over i + j <= order, with the Legendre polynomials P_i, which are
    orthogonal over the square. In a corner it is 7/3 for order 1 and 13/3 for order 2.
    """
    along_x, along_y = (_legendre_squares(t, order) for t in (u, v))
    total = sum((along_x[i] * along_y[j] for i, j in exponents(order)), start=np.zeros(np.shape(u)))
    return np.asarray(total / n_terms(order))


def _legendre_squares(t: FloatArray, order: int) -> FloatArray:
    """(2n + 1) P_n², n <= order, of mean 1 over [-1, 1]; shape (order + 1, *t.shape)."""
    values = np.moveaxis(np.polynomial.legendre.legvander(t, order), -1, 0)
    return np.asarray(values**2 * (2.0 * np.arange(order + 1.0) + 1.0).reshape(-1, *[1] * np.ndim(t)))


def monomials_in_chebyshev(order: int) -> FloatArray:
    """Each product u^i v^j as a sum of products T_k(u) T_l(v); shape (n_terms, n_terms), a row for each monomial."""
    place = {pair: n for n, pair in enumerate(exponents(order))}
    powers = [np.polynomial.chebyshev.poly2cheb([0.0] * i + [1.0]) for i in range(order + 1)]
    rows = np.zeros((len(place), len(place)))
    for (i, j), n in place.items():
        for k, along_x in enumerate(powers[i]):
            for m, along_y in enumerate(powers[j]):
                rows[n, place[k, m]] += along_x * along_y
    return rows
