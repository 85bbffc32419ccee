"""A map of the sky that keeps angles from its middle."""

from __future__ import annotations

import numpy as np
import pytest

from diapipe.numerics.sphere import angle_of, equidistant_plane, tangent_plane, unit_vectors


def test_the_length_of_an_offset_is_the_angle_from_the_middle(rng):
    """All over the sky, to a rounding; north is up, and near the middle it is the tangent plane."""
    centre = np.array([33.0, -41.0])
    lon, lat = rng.uniform(0, 360, 200), np.degrees(np.arcsin(rng.uniform(-1, 1, 200)))
    angle = angle_of(np.linalg.norm(unit_vectors(lon, lat) - unit_vectors(*centre), axis=-1))
    np.testing.assert_allclose(np.hypot(*equidistant_plane(lon, lat, centre)), angle, atol=1e-7)
    near = centre[:, None] + rng.uniform(-1e-3, 1e-3, (2, 20))
    np.testing.assert_allclose(equidistant_plane(*near, centre), tangent_plane(*near, centre), rtol=1e-8, atol=1e-12)


def test_the_middle_is_the_origin():
    assert equidistant_plane(np.array([5.0]), np.array([7.0]), np.array([5.0, 7.0])) == pytest.approx(0.0)
