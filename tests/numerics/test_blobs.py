"""Flagged pixels as lists and groups: against scipy."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from diapipe.numerics import blobs


def test_groups_are_those_of_scipy(rng):
    """Same pixels, same 8-connected partition, on random masks that also touch the borders."""
    for density in (0.05, 0.3, 0.6):
        mask = np.where(rng.random((40, 50)) < density, 6, 1).astype(np.int32)
        found = blobs.blobs_of(mask, 2)
        labels, n = ndimage.label(mask == 6, structure=np.ones((3, 3)))
        assert found.n_groups == n
        pairs = set(zip(found.group, labels[found.y, found.x], strict=True))
        assert len(pairs) == n
        assert len(found.y) == np.count_nonzero(mask == 6)


def test_pixels_above_a_level(rng):
    """Strictly above; NaN is not."""
    image = rng.normal(size=(30, 40)).astype(np.float32)
    image[3, 4] = np.nan
    np.testing.assert_array_equal(
        blobs.pixels_above(image, 1.0), np.flatnonzero(np.nan_to_num(image) > np.float32(1.0))
    )


def test_a_disc_is_set_around_each_pixel():
    """Radius 2 paints 21 pixels, fewer at the border."""
    mask = np.zeros((20, 20), np.int32)
    blobs.set_around(mask, np.array([10 * 20 + 10]), 2, 4)
    assert np.count_nonzero(mask == 4) == 21
    blobs.set_around(mask, np.array([0]), 2, 4)
    assert np.count_nonzero(mask == 4) == 21 + 8


def test_nothing_flagged_is_no_group():
    """An empty mask has no pixels and no groups."""
    found = blobs.blobs_of(np.zeros((5, 5), np.int32), 1)
    assert found.n_groups == 0
    assert len(found.x) == 0
