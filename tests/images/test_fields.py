"""ChebyshevField and ImageField against numpy.polynomial."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.polynomial import chebyshev

from diapipe.errors import InputError
from diapipe.images import Box, ChebyshevField, ImageField
from diapipe.numerics import polynomials

BOX = Box(100, 140, -30, 33)
orders = st.integers(0, 5)
seeds = st.integers(0, 2**32 - 1)


def coefficients(order: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=polynomials.n_terms(order))


def twin(field: ChebyshevField, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """numpy.polynomial's own series, coordinates scaled by hand: the outer edges of the box are -1 and 1."""
    box, order = field.box, field.order
    square = np.zeros((order + 1, order + 1))
    for (i, j), value in zip(polynomials.exponents(order), field.coefficients, strict=True):
        square[i, j] = value
    u = 2 * (x - (box.x0 - 0.5)) / ((box.x1 - 0.5) - (box.x0 - 0.5)) - 1
    v = 2 * (y - (box.y0 - 0.5)) / ((box.y1 - 0.5) - (box.y0 - 0.5)) - 1
    return chebyshev.chebval2d(u, v, square)


@given(orders, seeds)
def test_values_are_those_of_numpys_series(order, seed):
    """Float64 sums of at most 21 terms of order 1: 1e-12 is a thousand roundings."""
    field = ChebyshevField(coefficients(order, seed), BOX)
    generator = np.random.default_rng(seed)
    x, y = generator.uniform(-40, 40, 17), generator.uniform(95, 145, 17)
    np.testing.assert_allclose(field.at(x=x, y=y), twin(field, x, y), rtol=1e-12, atol=1e-12)


@given(orders, seeds)
def test_a_plane_of_values_is_the_values_at_its_pixels(order, seed):
    """``over`` (separable, float32) and ``at`` (term by term, float64) are one function to the rounding of float32."""
    field = ChebyshevField(coefficients(order, seed), BOX)
    cut = Box(105, 118, -30, 9)
    y, x = np.mgrid[cut.y0 : cut.y1, cut.x0 : cut.x1].astype(float)
    values = field.over(cut)
    assert values.dtype == np.float32
    rounding = 4 * np.finfo(np.float32).eps * np.abs(field.coefficients).sum()
    np.testing.assert_allclose(values, field.at(x=x, y=y), rtol=0, atol=rounding)


def test_the_edges_of_the_box_are_at_one():
    """T_n(±1) = (±1)^n: a field of pure x-order 3 is -1 at the left edge and 1 at the right one."""
    terms = polynomials.exponents(3)
    pure = ChebyshevField(np.array([1.0 if term == (3, 0) else 0.0 for term in terms]), BOX)
    np.testing.assert_allclose(pure.at(x=np.array([-30.5, 32.5]), y=np.array([120.0, 120.0])), [-1, 1], atol=1e-14)


def test_a_constant_field_is_its_value():
    field = ChebyshevField.constant(3.25, BOX)
    assert field.order == 0
    assert float(field.at(x=7.0, y=111.0)) == 3.25
    np.testing.assert_array_equal(field.over(BOX), np.full(BOX.shape, 3.25))


@pytest.mark.parametrize("n", [0, 2, 4, 5, 7])
def test_coefficients_of_no_complete_polynomial_are_refused(n):
    with pytest.raises(InputError, match=f"{n} coefficients do not make a complete 2-D polynomial"):
        ChebyshevField(np.ones(n), BOX)


@given(orders, seeds)
def test_an_image_field_is_one_series_a_pixel(order, seed):
    images = np.random.default_rng(seed).normal(size=(polynomials.n_terms(order), 3, 3))
    field = ImageField(images, BOX)
    image = field.at(x=11.3, y=120.8)
    assert image.shape == (field.size, field.size) == (3, 3)
    for row, column in np.ndindex(3, 3):
        pixel = ChebyshevField(images[:, row, column], BOX)
        np.testing.assert_allclose(image[row, column], pixel.at(x=11.3, y=120.8), rtol=1e-12, atol=1e-12)


@given(st.integers(0, 3), seeds)
def test_a_fit_through_samples_of_a_field_is_the_field(order, seed):
    """Noise-free samples at more places than terms determine it: to 1e-9, the rounding of a well-conditioned fit."""
    generator = np.random.default_rng(seed)
    truth = ImageField(generator.normal(size=(polynomials.n_terms(order), 5, 5)), BOX)
    grid_x, grid_y = np.meshgrid(np.linspace(-30, 32, 6), np.linspace(100, 139, 6))
    x, y = grid_x.ravel(), grid_y.ravel()
    samples = np.stack([truth.at(x=a, y=b) for a, b in zip(x, y, strict=True)])
    fitted = ImageField.fitted(samples, x=x, y=y, order=order, box=BOX)
    np.testing.assert_allclose(fitted.images, truth.images, atol=1e-9)


@pytest.mark.parametrize("shape", [(1, 4, 4), (1, 5, 3)])
def test_images_must_be_square_and_odd(shape):
    with pytest.raises(InputError, match=rf"square with an odd side, not {shape[1]} x {shape[2]}"):
        ImageField(np.ones(shape), BOX)
