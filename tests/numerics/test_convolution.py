"""Convolution with a varying kernel against a direct sum at every pixel, and its variance against Σ K² V."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from diapipe.numerics import convolution
from diapipe.numerics.kernel_bases import gaussian_basis
from diapipe.numerics.polynomials import chebyshev_terms

SHAPE = (150, 300)
"""More than two blocks of rows and two strips of columns."""

type Array = NDArray[np.float64]


def fields_at(rows: Array, columns: Array) -> Array:
    """Terms of a linear field over the image."""
    y, x = np.broadcast_arrays(rows, columns)
    return chebyshev_terms(2 * (x + 0.5) / SHAPE[1] - 1, 2 * (y + 0.5) / SHAPE[0] - 1, 1)


@pytest.fixture
def images(rng: np.random.Generator) -> Array:
    basis = gaussian_basis((0.8, 2.0), (2, 1), half=5).images
    return np.einsum("tn,nvu->tvu", rng.normal(0, 0.1, (3, len(basis))) + np.eye(3, len(basis)), basis)


def directly(image: Array, images: Array) -> Array:
    """The definition: out(y, x) = Σ K(v, u; x, y) I(y - v, x - u), the image reflected beyond its border."""
    half = images.shape[-1] // 2
    padded = np.pad(image, half, mode="symmetric")
    terms = fields_at(np.arange(SHAPE[0], dtype=float)[:, None], np.arange(SHAPE[1], dtype=float)[None, :])
    out = np.zeros(SHAPE)
    for v in range(-half, half + 1):
        for u in range(-half, half + 1):
            kernel = np.tensordot(images[:, half + v, half + u], terms, axes=1)
            out += kernel * padded[half - v : half - v + SHAPE[0], half - u : half - u + SHAPE[1]]
    return out


@pytest.mark.parametrize("way", ["separable", "fft"])
def test_convolution_is_the_direct_sum(way: str, images: Array, rng: np.random.Generator) -> None:
    """Both ways agree with the definition to the rounding of float32 sums of a few hundred terms."""
    image = rng.normal(size=SHAPE).astype(np.float32)
    if way == "separable":
        found = convolution.convolve_separable(image, convolution.factor(images), fields_at)
    else:
        found = convolution.convolve_fft(image, images, fields_at)
    expected = directly(image.astype(float), images)
    assert np.abs(found - expected).max() < 2e-5 * np.abs(expected).max()


def test_threads_change_no_bit(images: Array, rng: np.random.Generator) -> None:
    """Bands are the same for any number of threads."""
    image = rng.normal(size=SHAPE).astype(np.float32)
    factored = convolution.factor(images)
    one = convolution.convolve_separable(image, factored, fields_at)
    two = convolution.convolve_separable(image, factored, fields_at, n_threads=2)
    np.testing.assert_array_equal(one, two)


def test_factors_rebuild_the_images(images: Array) -> None:
    """What is dropped is below the tolerance."""
    factored = convolution.factor(images)
    rebuilt = np.einsum("trv,ru->tvu", factored.columns, factored.rows)
    assert np.abs(rebuilt - images).max() < convolution.FACTOR_TOLERANCE


def test_variance_is_the_sum_of_squares(images: Array, rng: np.random.Generator) -> None:
    """With one kernel everywhere, the variance plane is K² ⊗ V exactly."""
    variance = rng.uniform(1, 2, SHAPE).astype(np.float32)
    squares = images[0] ** 2
    found = convolution.propagate_variance(variance, lambda x, y: squares, tile=(64, 100))
    constant = np.zeros((3, *squares.shape))
    constant[0] = squares
    np.testing.assert_allclose(found, directly(variance.astype(float), constant), rtol=1e-5)


def test_filling_is_smooth_and_leaves_good_pixels_alone(rng: np.random.Generator) -> None:
    """A hole in a plane is filled with the plane, to the part that eight directions see."""
    y, x = np.mgrid[:40, :50].astype(np.float32)
    plane = 3 * x + 2 * y
    good = np.ones(plane.shape, dtype=bool)
    good[10:14, 20:23] = False
    found = convolution.filled(plane, good)
    np.testing.assert_array_equal(found[good], plane[good])
    assert np.abs(found - plane).max() < 4.0


def test_a_region_without_good_pixels_becomes_zero() -> None:
    found = convolution.filled(np.full((5, 5), np.nan, np.float32), np.zeros((5, 5), dtype=bool))
    np.testing.assert_array_equal(found, 0.0)
