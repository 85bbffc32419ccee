"""Runs and their components against scipy.ndimage."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from diapipe.numerics import components


def drawn(runs, labels, shape):
    """Labels as an image, 0 for none."""
    image = np.zeros(shape, int)
    for (row, first, last, *_), label in zip(runs, labels, strict=True):
        assert not image[row, first:last].any()
        image[row, first:last] = label + 1
    return image


@pytest.mark.parametrize("level", [0.5, 1.0, 2.0, 3.0])
@pytest.mark.parametrize("shape", [(1, 1), (1, 200), (200, 1), (67, 131)])
def test_components_equal_ndimage(rng, level, shape):
    """Eight-connected components of the thresholded image, up to the order of the labels."""
    image = rng.standard_normal(shape).astype(np.float32)
    image[rng.random(shape) < 0.02] = np.nan
    runs = components.grow_runs(components.runs_above(image, level), 0.0, shape)
    labels, n = components.label_runs(runs)
    with np.errstate(invalid="ignore"):
        expected, n_expected = ndimage.label(np.abs(image) > np.float32(level), np.ones((3, 3)))
    found = drawn(runs, labels, shape)
    assert n == n_expected
    np.testing.assert_array_equal(found > 0, expected > 0)
    pairs = np.unique(np.stack([found.ravel(), expected.ravel()]), axis=1)
    assert pairs.shape[1] == n + (expected == 0).any()


def test_runs_keep_the_sign():
    """A run ends where the sign changes, though both pixels are significant."""
    image = np.array([[9, 9, -9, 0, -9, np.nan, 9]], np.float32)
    expected = [[0, 0, 2, 1], [0, 2, 3, -1], [0, 4, 5, -1], [0, 6, 7, 1]]
    np.testing.assert_array_equal(components.runs_above(image, 5.0), expected)


@pytest.mark.parametrize("radius", [0.0, 1.0, 2.5, 4.3])
def test_growth_is_dilation_by_a_disk(rng, radius):
    """Grown runs cover exactly the pixels within the radius of one above threshold."""
    shape = (50, 61)
    image = rng.standard_normal(shape).astype(np.float32)
    grown = components.grow_runs(components.runs_above(image, 2.5), radius, shape)
    y, x = np.mgrid[-5:6, -5:6]
    above = np.abs(image) > 2.5
    expected = ndimage.binary_dilation(above, x**2 + y**2 <= radius**2)
    np.testing.assert_array_equal(drawn(grown, np.zeros(len(grown), int), shape) > 0, expected)


def test_nothing_above_gives_nothing():
    """An empty set of runs passes through every function."""
    runs = components.runs_above(np.full((5, 5), np.nan, np.float32), 5.0)
    assert runs.shape == (0, 4)
    grown = components.grow_runs(runs, 3.0, (5, 5))
    assert grown.shape == (0, 3)
    labels, n = components.label_runs(grown)
    assert (len(labels), n) == (0, 0)


def test_component_at_finds_the_holder(rng):
    """Every pixel is asked for; the answer is the label image, -1 outside."""
    shape = (40, 45)
    runs = components.grow_runs(components.runs_above(rng.standard_normal(shape).astype(np.float32), 2.0), 1.0, shape)
    labels, _ = components.label_runs(runs)
    rows, columns = (v.ravel().astype(np.int64) for v in np.mgrid[: shape[0], : shape[1]])
    found = np.empty(len(rows), np.int64)
    components.component_at(runs, labels, rows, columns, found)
    np.testing.assert_array_equal(found.reshape(shape), drawn(runs, labels, shape) - 1)
