"""Chebyshev terms against numpy.polynomial."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.polynomial import chebyshev

from diapipe.numerics import polynomials


def test_the_terms_come_in_triangular_order():
    """1; x, y; x², xy, y²; … (SPEC, section 0)."""
    assert polynomials.exponents(2) == [(0, 0), (1, 0), (0, 1), (2, 0), (1, 1), (0, 2)]


@pytest.mark.parametrize("order", range(12))
def test_number_of_terms_and_order_are_inverse(order):
    assert polynomials.n_terms(order) == len(polynomials.exponents(order))
    assert polynomials.order_of(polynomials.n_terms(order)) == order


@pytest.mark.parametrize("terms", [0, 2, 4, 5, 7, 9, 11])
def test_no_polynomial_has_such_a_number_of_terms(terms):
    with pytest.raises(ValueError, match=f"{terms} coefficients do not make a complete 2-D polynomial"):
        polynomials.order_of(terms)


@pytest.mark.parametrize("order", range(7))
def test_each_term_is_numpys_product_of_polynomials(order, rng):
    u, v = rng.uniform(-1, 1, (2, 5, 4))
    terms = polynomials.chebyshev_terms(u, v, order)
    assert terms.shape == (polynomials.n_terms(order), 5, 4)
    for term, (i, j) in zip(terms, polynomials.exponents(order), strict=True):
        expected = chebyshev.Chebyshev.basis(i)(u) * chebyshev.Chebyshev.basis(j)(v)
        np.testing.assert_allclose(term, expected, atol=1e-13)


@pytest.mark.parametrize("order", range(5))
def test_monomials_are_sums_of_chebyshev_terms(order, rng):
    """Any polynomial of monomials is the same one of Chebyshev terms, to 1e-12."""
    u, v = rng.uniform(-1, 1, (2, 50))
    coefficients = rng.normal(size=polynomials.n_terms(order))
    monomials = coefficients @ polynomials.monomial_terms(u, v, order)
    converted = coefficients @ polynomials.monomials_in_chebyshev(order)
    np.testing.assert_allclose(converted @ polynomials.chebyshev_terms(u, v, order), monomials, atol=1e-12)


@pytest.mark.parametrize("order", range(5))
def test_the_leverage_is_that_of_a_fit_to_points_all_over_the_square(order, rng):
    """f(u, v)ᵀ (Σ f fᵀ / n)⁻¹ f(u, v) / n_terms for 400² points, whose sums are integrals to 1 / 400² of themselves."""
    nodes = (np.arange(400) + 0.5) / 200.0 - 1.0
    everywhere = polynomials.chebyshev_terms(*(grid.ravel() for grid in np.meshgrid(nodes, nodes)), order)
    u, v = rng.uniform(-1, 1, (2, 30))
    terms = polynomials.chebyshev_terms(u, v, order)
    inverse = np.linalg.inv(everywhere @ everywhere.T / everywhere.shape[1])
    expected = np.einsum("ik,ij,jk->k", terms, inverse, terms) / polynomials.n_terms(order)
    np.testing.assert_allclose(polynomials.leverage(u, v, order), expected, rtol=2e-3)


def test_the_leverage_of_corner_and_middle():
    """In a corner (2i + 1)(2j + 1) on the mean of the terms: 1, 7/3, 13/3; in the middle 1, 1/3, (1 + 2 · 5/4) / 6."""
    places = np.array([1.0, 0.0]), np.array([-1.0, 0.0])
    for order, expected in ((0, (1.0, 1.0)), (1, (7 / 3, 1 / 3)), (2, (13 / 3, 3.5 / 6))):
        np.testing.assert_allclose(polynomials.leverage(*places, order), expected, rtol=1e-12)
