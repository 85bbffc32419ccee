"""Levels of annuli: those of plain loops, untouched by a star in them."""

from __future__ import annotations

import numpy as np
import pytest

from diapipe.numerics.annuli import annulus_means

SIDE = 80
WHERE = {"inner": 6.0, "outer": 14.0}


def planes(rng, level=7.0):
    image = rng.normal(level, 2.0, (SIDE, SIDE)).astype(np.float32)
    return image, np.zeros((SIDE, SIDE), np.int32), np.full((SIDE, SIDE), 4.0, np.float32)


def test_equals_a_loop_over_pixels(rng):
    """Where no pixel is clipped, mean and variance are those of the usable pixels between the radii."""
    image, mask, variance = planes(rng)
    mask[30:34, 38:50] = 2
    x, y = np.array([40.3, 3.0]), np.array([41.9, 77.2])
    found = annulus_means(image, mask, variance, bits=2, x=x, y=y, n_sigma=100.0, **WHERE)
    for k in range(2):
        values = [
            float(image[r, c])
            for r in range(SIDE)
            for c in range(SIDE)
            if 6.0 <= np.hypot(r - y[k], c - x[k]) <= 14.0 and mask[r, c] == 0
        ]
        assert found[k] == pytest.approx([np.mean(values), 4.0 / len(values)], rel=1e-6)


def test_a_star_in_the_annulus_is_clipped(rng):
    """A star of 1000 counts a pixel moves the level by less than four of its errors, sqrt(4 / 500) = 0.09."""
    image, mask, variance = planes(rng)
    image[48:52, 48:52] += 1000.0
    place = np.array([40.0])
    found = annulus_means(image, mask, variance, bits=0, x=place, y=place, n_sigma=3.0, **WHERE)
    assert abs(found[0, 0] - 7.0) < 4 * np.sqrt(found[0, 1])


def test_no_pixel_no_level(rng):
    """Off the image, at NaN, and where all is masked there is none."""
    image, mask, variance = planes(rng)
    mask[:40] = 1
    x, y = np.array([np.nan, 500.0, 40.0]), np.array([3.0, 3.0, 10.0])
    found = annulus_means(image, mask, variance, bits=1, x=x, y=y, n_sigma=3.0, **WHERE)
    assert np.isnan(found).all()
