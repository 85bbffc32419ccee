"""Pixels of HEALPix against hpgeom, and where rounding could put a direction into the wrong one."""

from __future__ import annotations

import numpy as np
import pytest

from diapipe.numerics.healpix import nested_pixels

hpgeom = pytest.importorskip("hpgeom")


@pytest.mark.parametrize("order", [0, 1, 7, 12, 29])
def test_pixels_are_those_of_healpix(rng, order):
    """20,000 directions all over the sky lie in the pixels that hpgeom names; within 10 arcsec of a pole it rounds."""
    longitude = rng.uniform(0.0, 360.0, 20_000)
    latitude = np.degrees(np.arcsin(rng.uniform(-1.0, 1.0, 20_000)))
    latitude[:5000] = np.sign(latitude[:5000]) * (90.0 - 0.003 - rng.exponential(0.3, 5000))
    expected = hpgeom.angle_to_pixel(1 << order, longitude, latitude, nest=True)
    assert np.array_equal(nested_pixels(longitude, latitude, order=order), expected)


def test_pixels_hold_their_directions(rng):
    """The centre of the pixel is within its width of the direction, also next to the poles, the seam and the edges."""
    colatitude = 10.0 ** rng.uniform(-7.0, 0.0, 4000)
    longitude = np.concatenate([rng.uniform(0.0, 360.0, 4000), np.repeat(np.arange(0.0, 361.0, 45.0), 9)])
    edges = np.degrees(np.arcsin([-1.0, -2 / 3, -0.5, -0.1, 0.0, 0.1, 0.5, 2 / 3, 1.0]))
    latitude = np.concatenate([rng.choice([-1.0, 1.0], 4000) * (90.0 - colatitude), np.tile(edges, 9)])
    found = nested_pixels(longitude, latitude)
    ra, dec = hpgeom.pixel_to_angle(1 << 29, found, nest=True)
    apart = np.hypot((ra - longitude + 180.0) % 360.0 - 180.0, 0.0) * np.cos(np.radians(latitude))
    assert np.max(np.hypot(apart, dec - latitude)) < 4 * 1.1e-7  # near a pole the angle of RA is no small one


def test_lower_orders_are_shorter_numbers(rng):
    """A pixel's parent is its number without the last two bits."""
    longitude, latitude = rng.uniform(0.0, 360.0, 500), rng.uniform(-90.0, 90.0, 500)
    finest = nested_pixels(longitude, latitude)
    for order in range(0, 29, 4):
        assert np.array_equal(finest >> 2 * (29 - order), nested_pixels(longitude, latitude, order=order))
