"""MeshField: a spline through a mesh, at any pixels."""

from __future__ import annotations

import numpy as np

from diapipe.images import Box, MeshField

BOX = Box(100, 160, -40, 50)


def test_a_plane_is_a_plane_everywhere() -> None:
    """Values on a plane at uneven centres, inside and beyond them: the spline is exact, to float32."""
    x, y = np.array([-30.0, 0.0, 12.0, 40.0]), np.array([105.0, 120.0, 150.0])
    field = MeshField(2.0 + 0.1 * x[None, :] - 0.3 * y[:, None], x, y)
    rows, columns = np.mgrid[BOX.y0 : BOX.y1, BOX.x0 : BOX.x1]
    np.testing.assert_allclose(field.over(BOX), 2.0 + 0.1 * columns - 0.3 * rows, atol=2e-5)


def test_cutting_commutes_with_drawing(rng: np.random.Generator) -> None:
    """The level of a part, and of some rows, is that part of the level."""
    field = MeshField(rng.normal(size=(3, 4)), np.array([-30.0, 0.0, 20.0, 40.0]), np.array([105.0, 130.0, 155.0]))
    part = Box(110, 140, -5, 30)
    np.testing.assert_allclose(field.over(part), field.over(BOX)[part.slices_in(BOX)], atol=1e-6)
    np.testing.assert_array_equal(field.rows(BOX)(3, 9), field.over(BOX)[3:9])
    assert field.level == np.median(field.values)
