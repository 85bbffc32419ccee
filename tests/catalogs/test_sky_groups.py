"""Detections that are one star."""

from __future__ import annotations

import numpy as np
import pytest

from diapipe.catalogs.sky_groups import sky_groups


@pytest.mark.parametrize(("ra0", "dec0"), [(150.0, 2.0), (0.0, -30.0), (77.0, 89.9999)])
def test_detections_of_one_star_are_one_group(ra0, dec0):
    """300 stars on a grid of 3 arcsec, five times each with errors of 0.1 arcsec, at the equator, across RA 0, near a
    pole: with 1 arcsec, five errors and a third of the spacing, each group is one star.
    """
    rng = np.random.default_rng(2)
    east, north = (grid.ravel() * 3.0 / 3600.0 for grid in np.meshgrid(np.arange(-10.0, 10.0), np.arange(15.0)))
    truth = np.tile(np.arange(300), 5)
    dec = dec0 - north[truth] + rng.normal(0.0, 0.1 / 3600.0, 1500)
    ra = (ra0 + (east[truth] + rng.normal(0.0, 0.1 / 3600.0, 1500)) / np.cos(np.radians(dec))) % 360.0
    if dec0 > 89.0:
        radius, angle = np.hypot(east, north), np.degrees(np.arctan2(north, east))
        wide = rng.normal(0.0, 0.02 / 3600.0, 1500)
        dec, ra = 90.0 - radius[truth] - 0.001 + wide, angle[truth] % 360.0
    group = sky_groups(ra, dec, radius_arcsec=1.0)
    pairs = np.unique(np.stack([truth, group]), axis=1)
    assert pairs.shape[1] == len(np.unique(group)) == 300


def test_a_detection_without_a_place_is_in_no_group():
    """NaN gives -1; no detection gives no group."""
    np.testing.assert_array_equal(sky_groups(np.array([np.nan, 1.0]), np.array([0.0, 0.0]), radius_arcsec=1.0), [-1, 0])
    assert len(sky_groups(np.empty(0), np.empty(0), radius_arcsec=1.0)) == 0
