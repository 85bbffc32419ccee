"""Noise that two images share is seen, that of each alone and the light of both are not."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from diapipe.numerics.common_noise import noise_correlation

SHAPE = (256, 256)


def drawn(rng: np.random.Generator, *, shared: float, n_stars: int = 0, sigma: float = 1.3) -> list[np.ndarray]:
    """Two images of unit noise, a part of its variance common, and stars of a peak up to 1,000 in both."""
    sky = np.zeros(SHAPE)
    sky[tuple(rng.integers(0, 256, (2, n_stars)))] = 1000.0 * rng.uniform(0, 1, n_stars) ** 4
    light = ndimage.gaussian_filter(sky, sigma) * 2 * np.pi * sigma**2
    common, *own = rng.normal(0.0, 1.0, (3, *SHAPE))
    return [(light + np.sqrt(shared) * common + np.sqrt(1 - shared) * each).astype(np.float32) for each in own]


@pytest.mark.parametrize("shared", [0.0, 0.2, 1.0])
def test_the_correlation_is_that_of_the_noise(shared, rng):
    """Within four of its errors, of which it says how large they are: 0.01 for 6e4 pixels."""
    first, second = drawn(rng, shared=shared)
    found = noise_correlation(first, second, np.ones(SHAPE, bool))
    assert 0.005 < found.error < 0.012
    assert abs(found.value - shared) <= 4 * found.error


@pytest.mark.parametrize("sigma", [1.1, 1.3, 2.4])
def test_stars_are_not_noise(sigma, rng):
    """600 stars in both: of a FWHM of 2.6 px they make the noise seem shared by less than 0.04 (four errors)."""
    first, second = drawn(rng, shared=0.0, n_stars=600, sigma=sigma)
    found = noise_correlation(first, second, np.ones(SHAPE, bool))
    assert abs(found.value) <= 4 * found.error


def test_what_is_not_good_does_not_count(rng):
    """Pixels that are not finite, and a pattern in both, under the mask."""
    first, second = drawn(rng, shared=0.0)
    good = np.ones(SHAPE, bool)
    good[:, 100:140] = False
    pattern = 50.0 * rng.normal(size=(256, 40))
    first[:, 100:140], second[:, 100:140] = pattern, pattern
    first[0, 100] = np.nan
    found = noise_correlation(first, second, good)
    assert abs(found.value) <= 4 * found.error


def test_few_pixels_tell_nothing():
    """No dark pixel, or none at all: nothing is known, and said so."""
    image = np.zeros((16, 16), np.float32)
    for good in (np.zeros((16, 16), bool), np.ones((16, 16), bool)):
        assert noise_correlation(image, image, good) == (0.0, np.inf)
