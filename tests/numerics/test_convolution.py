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


@pytest.mark.parametrize("tile", [64, 128, convolution.TILE])
def test_convolution_is_the_direct_sum(
    tile: int, images: Array, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the tiles, it agrees with the definition to the rounding of float32 sums of a few hundred terms."""
    monkeypatch.setattr(convolution, "TILE", tile)
    image = rng.normal(size=SHAPE).astype(np.float32)
    found = convolution.convolve(image, images, fields_at, tolerance=0.0)
    expected = directly(image.astype(float), images)
    assert np.abs(found - expected).max() < 2e-5 * np.abs(expected).max()


def test_what_is_left_out_is_as_small_as_said(images: Array, rng: np.random.Generator) -> None:
    """Of white noise of unit variance a term of norm ε makes noise of sigma ε: of two slopes less than 3 ε."""
    image = rng.normal(size=SHAPE).astype(np.float32)
    exact = convolution.convolve(image, images, fields_at, tolerance=0.0)
    for tolerance in (0.03, 0.1, 0.7):
        found = convolution.convolve(image, images, fields_at, tolerance=tolerance)
        assert np.std(found - exact) < 3 * tolerance
    assert np.std(found - exact) > 0.1, "the slope along x has a norm of 0.5 and is left out"


def test_threads_change_no_bit(images: Array, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tiles are the same for any number of threads."""
    monkeypatch.setattr(convolution, "TILE", 64)
    image = rng.normal(size=SHAPE).astype(np.float32)
    one = convolution.convolve(image, images, fields_at)
    two = convolution.convolve(image, images, fields_at, n_threads=2)
    np.testing.assert_array_equal(one, two)


def test_a_sum_is_the_sum_of_its_parts(images: Array, rng: np.random.Generator) -> None:
    """Images with kernels of different sizes share the transforms back, and nothing else."""
    one, two = (rng.normal(size=SHAPE).astype(np.float32) for _ in range(2))
    small = images[:, 2:-2, 2:-2]
    together = convolution.convolve_sum([one, two], [images, small], fields_at, tolerance=0.0)
    apart = convolution.convolve(one, images, fields_at, tolerance=0.0)
    apart += convolution.convolve(two, small, fields_at, tolerance=0.0)
    assert np.abs(together - apart).max() < 1e-5 * np.abs(apart).max()


def test_a_kernel_larger_than_a_tile(rng: np.random.Generator) -> None:
    """Tiles grow with the kernel."""
    image, kernel = rng.normal(size=(100, 90)).astype(np.float32), np.zeros((1, 81, 81))
    kernel[0, 0, 80] = 1.0
    found = convolution.convolve(image, kernel, lambda y, x: np.ones((1, len(y), x.shape[1])))
    padded = np.pad(image, 40, mode="symmetric")
    assert np.abs(found - padded[80:, : image.shape[1]]).max() < 1e-5


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
