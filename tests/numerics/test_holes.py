"""Holes are filled with what their neighbours tell."""

from __future__ import annotations

import numpy as np

from diapipe.numerics.holes import fill_holes


def plane(shape=(40, 50)):
    y, x = np.mgrid[: shape[0], : shape[1]]
    return (3.0 + 0.5 * x - 0.25 * y).astype(np.float32)


def test_a_plane_is_restored():
    """Isolated pixels, columns, tracks and the rims of large holes of a linear image get their true values back."""
    image = plane()
    hole = np.zeros(image.shape, bool)
    hole[::7, ::6] = True
    hole[:, 20] = True
    hole[10, 5:30] = True
    hole[25:35, 30:45] = True
    spoiled = np.where(hole, np.float32(1e6), image)
    filled, variance = fill_holes(spoiled, np.ones_like(image), hole)
    deep = np.zeros_like(hole)
    deep[26:34, 31:44] = True
    np.testing.assert_allclose(filled[~deep], image[~deep], rtol=1e-5)
    assert np.all(filled[28:32, 34:41] == 1e6)
    np.testing.assert_allclose(variance, 1.0, rtol=1e-6)


def test_good_pixels_are_untouched(rng):
    """What is not a hole keeps its value to the bit, and the inputs stay as they are."""
    image, hole = rng.normal(size=(30, 30)).astype(np.float32), rng.uniform(size=(30, 30)) < 0.2
    before = image.copy()
    filled, _ = fill_holes(image, np.ones_like(image), hole)
    assert np.array_equal(filled[~hole], image[~hole])
    assert np.array_equal(image, before)


def test_a_missing_column_of_a_star():
    """Across one missing column a star of 4 px FWHM is restored to 3% of its peak."""
    y, x = np.mgrid[:31, :31]
    star = np.exp(-((x - 15.3) ** 2 + (y - 14.8) ** 2) / (2 * 1.7**2)).astype(np.float32)
    hole = np.zeros(star.shape, bool)
    hole[:, 16] = True
    filled, _ = fill_holes(star, np.ones_like(star), hole)
    assert np.abs(filled - star).max() < 0.03


def test_nothing_good_nothing_filled():
    """An image of holes alone comes back as it was."""
    image = np.full((12, 12), np.nan, np.float32)
    filled, _ = fill_holes(image, image, np.ones((12, 12), bool))
    assert np.isnan(filled).all()


def test_threads_change_nothing(rng):
    """The result is the same to the bit for any number of threads."""
    image, hole = rng.normal(size=(600, 20)).astype(np.float32), rng.uniform(size=(600, 20)) < 0.3
    one, two = (fill_holes(image, np.ones_like(image), hole, n_threads=n) for n in (1, 2))
    assert np.array_equal(one[0], two[0])
