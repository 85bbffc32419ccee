"""Sources as maxima of the smoothed image: against scipy, and the rate at which noise makes them."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from diapipe.numerics import local_maxima

BAD = 1


def slow_maxima(image, variance, sigma, n_sigma):
    profile = local_maxima.gaussian_profile(sigma).astype(np.float64)
    smooth = ndimage.correlate1d(image.astype(np.float64), profile, axis=0, mode="constant")
    smooth = ndimage.correlate1d(smooth, profile, axis=1, mode="constant")
    score = smooth / (np.sqrt(variance) * (profile**2).sum())
    highest = (score == ndimage.maximum_filter(score, 3, mode="constant")) & (score > n_sigma)
    highest[:, [0, -1]] = False
    return {(int(y), int(x)): score[y, x] for y, x in zip(*np.nonzero(highest), strict=True)}


def test_maxima_equal_the_slow_twin(rng):
    """Same pixels and, to float32 rounding, the same significance; more rows than one band."""
    image = rng.normal(0.0, 2.0, (150, 90)).astype(np.float32)
    variance = np.full(image.shape, 4.0, np.float32)
    found = local_maxima.find_maxima(
        image, mask=np.zeros(image.shape, np.int32), variance=variance, bad_bits=BAD, sigma=1.4, n_sigma=1.5
    )
    expected = slow_maxima(image, variance, 1.4, 1.5)
    assert {(int(y), int(x)) for y, x in zip(found.y, found.x, strict=True)} == set(expected)
    values = [expected[int(y), int(x)] for y, x in zip(found.y, found.x, strict=True)]
    np.testing.assert_allclose(found.significance, values, rtol=1e-4)
    assert (np.diff(found.significance) <= 0).all()


def test_significance_is_in_units_of_the_noise(rng):
    """Smoothed white noise has unit scatter: no maximum above 5 sigma in 90,000 pixels, for sigma 1 and sigma 50."""
    counts = []
    for scale in (1.0, 50.0):
        image = (scale * np.random.default_rng(5).normal(size=(300, 300))).astype(np.float32)
        variance = np.full(image.shape, scale**2, np.float32)
        mask = np.zeros(image.shape, np.int32)
        counts.append(len(local_maxima.find_maxima(image, mask=mask, variance=variance, bad_bits=BAD, sigma=2.0).x))
    assert counts == [0, 0]


def test_bad_column_does_not_split_a_star():
    """A star crossed by a bad column is one maximum, and no maximum lies on the column."""
    y, x = np.mgrid[:60, :60]
    image = (1000.0 * np.exp(-((x - 30.6) ** 2 + (y - 30.0) ** 2) / 8.0)).astype(np.float32)
    mask = np.zeros(image.shape, np.int32)
    mask[:, 30], image[:, 30] = BAD, np.nan
    found = local_maxima.find_maxima(
        image, mask=mask, variance=np.ones_like(image), bad_bits=BAD, sigma=2.0, n_sigma=5.0
    )
    assert len(found.x) == 1
    assert found.x[0] != 30


def test_all_masked_has_no_maxima():
    """Nothing to see, nothing found."""
    image = np.full((40, 40), 5.0, np.float32)
    mask = np.full(image.shape, BAD, np.int32)
    found = local_maxima.find_maxima(image, mask=mask, variance=np.ones_like(image), bad_bits=BAD, sigma=2.0)
    assert len(found.x) == 0
