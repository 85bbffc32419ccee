"""Cosmic rays: hits are flagged, stars never."""

from __future__ import annotations

import numpy as np
import pytest

from diapipe.numerics import cosmic_rays, psf_model

CR, SAT = 8, 2


def flagged(image, *, variance, fwhm, mask=None):
    mask = np.zeros(image.shape, np.int32) if mask is None else mask
    out = mask.copy()
    n = cosmic_rays.flag_cosmic_rays(
        image.astype(np.float32),
        variance=variance.astype(np.float32),
        mask=mask,
        skip_bits=SAT,
        out=out,
        bit=CR,
        ratios=cosmic_rays.neighbour_ratios(fwhm / 2.3548, sharpness=0.6),
    )
    assert n == np.count_nonzero(out & CR)
    return (out & CR) != 0


def star_field(rng, *, fwhm, n, brightest):
    """Moffat stars (beta 3) of random flux at random sub-pixel places; image and Poisson variance."""
    size, half = 512, 20
    image = np.zeros((size, size))
    alpha = 0.5 * fwhm / np.sqrt(2 ** (1 / 3) - 1)
    offset = np.arange(-half, half + 1)
    for flux in brightest * 10 ** -rng.uniform(0, 3, n):
        x, y = rng.uniform(half + 1, size - half - 2, 2)
        u, v = offset[None, :] + round(x) - x, offset[:, None] + round(y) - y
        star = (1 + (u * u + v * v) / alpha**2) ** -3.0 * 2 / (np.pi * alpha**2)
        image[round(y) - half : round(y) + half + 1, round(x) - half : round(x) + half + 1] += flux * star
    return image, image + 400.0


@pytest.mark.parametrize("fwhm", [2.2, 3.0, 5.0])
def test_no_star_is_flagged(rng, fwhm):
    """Four hundred stars to peak S/N 300, FWHM down to 2.2 px, and 260,000 pixels of noise: at most one pixel."""
    image, variance = star_field(rng, fwhm=fwhm, n=400, brightest=1e6)
    noisy = image + rng.normal(size=image.shape) * np.sqrt(variance)
    assert np.count_nonzero(flagged(noisy, variance=variance, fwhm=fwhm)) <= 1


def test_hits_are_flagged_even_on_stars(rng):
    """Tracks one pixel wide of 30 sigma and more: over 95% of their pixels, also on stars; 5% more around them."""
    image, variance = star_field(rng, fwhm=4.0, n=200, brightest=3e4)
    truth = np.zeros(image.shape, bool)
    for _ in range(100):
        y, x, slope = rng.uniform(20, 480), rng.uniform(20, 480), rng.uniform(-1, 1)
        for step in range(8):
            truth[int(y + slope * step), int(x + step)] = True
    noisy = image + truth * 1500.0 + rng.normal(size=image.shape) * np.sqrt(variance)
    found = flagged(noisy, variance=variance, fwhm=4.0)
    assert found[truth].mean() > 0.95
    assert np.count_nonzero(found & ~truth) < 0.05 * truth.sum()


def test_saturated_pixels_are_left_alone(rng):
    """A flat top and its edge are no cosmic ray when they are masked as saturated."""
    image, variance = star_field(rng, fwhm=3.0, n=20, brightest=1e7)
    clipped = np.minimum(image, 5e4)
    mask = np.where(image >= 5e4, SAT, 0).astype(np.int32)
    assert not flagged(clipped, variance=variance, fwhm=3.0, mask=mask).any()


def test_ratio_is_that_of_a_centred_star():
    """The least contrast of a star on its pixel: exp(-d² / 2 sigma²), times the sharpness."""
    profile = psf_model.moffat(9, alpha=1e3, beta=0.5 * 1e6 / 1.5**2)
    ratios = cosmic_rays.neighbour_ratios(1.5, sharpness=1.0)
    np.testing.assert_allclose(
        ratios[[0, 2]], profile[4, 5] / profile[4, 4] * np.array([1, np.exp(-0.5 / 1.5**2)]), rtol=1e-4
    )
