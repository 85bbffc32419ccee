"""Interpolants: the polynomials say what the formulas say, and the formulas keep what they promise."""

from __future__ import annotations

import numpy as np
import pytest

from diapipe.numerics.interpolant import LANCZOS, Interpolant, lanczos_weights, row_weights, sampled_at, wiener_weights

FRACTIONS = np.linspace(0.0, 1.0, 41)[:-1]
TAPS = np.arange(-2, 4)


def direct(fraction, blur_px):
    return lanczos_weights(fraction) if blur_px is None else wiener_weights(fraction, blur_px)


@pytest.mark.parametrize("blur_px", [None, 0.0, 0.3, 0.5])
def test_polynomials_are_the_formula(blur_px):
    """The polynomials in the sub-pixel position give the weights of the formula to 1e-9."""
    first, weights = Interpolant(blur_px=blur_px).weights(7.0 + FRACTIONS)
    assert np.all(first == 5)
    np.testing.assert_allclose(weights, [direct(f, blur_px) for f in FRACTIONS], atol=1e-9)


def test_row_weights_agree_with_single_positions():
    """The float32 weights of a row are those of single positions to float32's precision."""
    interpolant = Interpolant(blur_px=0.5)
    weights = np.empty((6, len(FRACTIONS)), np.float32)
    row_weights(
        (FRACTIONS - 0.5).astype(np.float32), interpolant.polynomials.astype(np.float32), weights, len(FRACTIONS)
    )
    np.testing.assert_allclose(weights.T, interpolant.weights(FRACTIONS)[1], atol=3e-7)


def test_lanczos_keeps_pixels_and_constants():
    """Lanczos-3 returns the pixel at whole positions, and a constant everywhere."""
    np.testing.assert_allclose(lanczos_weights(0.0), TAPS == 0, atol=1e-12)
    _, weights = LANCZOS.weights(FRACTIONS)
    np.testing.assert_allclose(weights.sum(axis=1), 1.0, atol=1e-12)


@pytest.mark.parametrize("blur_px", [0.0, 0.5])
def test_wiener_keeps_constants_and_slopes(blur_px):
    """The weights have unit sum and their first moment is the position, so no star is moved."""
    _, weights = Interpolant(blur_px=blur_px).weights(FRACTIONS)
    np.testing.assert_allclose(weights.sum(axis=1), 1.0, atol=1e-9)
    np.testing.assert_allclose(weights @ TAPS, FRACTIONS, atol=1e-9)


def error_at_stars(blur_px, sigma):
    """Largest error, over sub-pixel positions of pixel and star, of an interpolated 1-D Gaussian, in units of its
    peak.
    """
    blurred = np.hypot(sigma, blur_px or 0.0)
    pixel = np.arange(-20, 21)
    worst = 0.0
    for f in FRACTIONS[::4]:
        for phase in FRACTIONS[::8]:
            star = np.exp(-0.5 * ((pixel[:, None] + TAPS - phase) / sigma) ** 2) @ direct(f, blur_px)
            truth = sigma / blurred * np.exp(-0.5 * ((pixel + f - phase) / blurred) ** 2)
            worst = max(worst, np.abs(star - truth).max())
    return worst


def test_wiener_errs_less_than_lanczos():
    """At a star of 3 px FWHM Lanczos-3 errs by more than 5e-3 of the peak, the Wiener one by under 1.2e-3."""
    assert error_at_stars(None, 1.3) > 5e-3
    assert error_at_stars(0.5, 1.3) < 1.2e-3


@pytest.mark.parametrize("stretch", [1.3, 2.0, 3.5])
def test_a_stretched_kernel_averages(stretch):
    """A stretched kernel has unit sum and 1/stretch of the noise of a single pixel, to a few percent."""
    _, weights = Interpolant(stretch=stretch).weights(100.0 + FRACTIONS)
    np.testing.assert_allclose(weights.sum(axis=1), 1.0, atol=1e-12)
    np.testing.assert_allclose((weights**2).sum(axis=1), 1.0 / stretch, rtol=0.15)


def test_sampled_image_is_zero_outside(rng):
    """A small image is sampled as its zero-padded copy: far outside it is 0, at pixels Lanczos-3 gives the pixels."""
    image = rng.normal(size=(7, 9))
    x, y = np.meshgrid(np.arange(-4.0, 13.0), np.arange(-4.0, 11.0))
    expected = np.zeros(x.shape)
    expected[4:11, 4:13] = image
    np.testing.assert_allclose(sampled_at(image, x=x, y=y), expected, atol=1e-8)


def test_several_images_are_sampled_as_each(rng):
    """With a plain and a stretched kernel, at positions of any shape."""
    images, (x, y) = rng.normal(size=(3, 9, 11)), rng.uniform(-5, 14, (2, 4, 5))
    for interpolant in (Interpolant(blur_px=0.3), Interpolant(stretch=1.7)):
        each = [sampled_at(image, interpolant, x=x, y=y) for image in images]
        np.testing.assert_array_equal(sampled_at(images, interpolant, x=x, y=y), each)
