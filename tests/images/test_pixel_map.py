"""PixelMap: a coarse grid that stands for a mapping."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from diapipe.images import Box
from diapipe.images.pixel_map import PixelMap

BOX = Box(100, 500, -30, 270)


def cubic(x, y):
    return 5.0 + 1.01 * x - 0.2 * y + 1e-7 * x**3, -7.0 + 0.2 * x + 0.99 * y + 1e-7 * x * y**2


@pytest.fixture
def pixel_map():
    return PixelMap.sampled(cubic, BOX)


def test_a_cubic_is_exact(pixel_map, rng):
    """Cubic interpolation between the nodes gives a cubic mapping everywhere in the box."""
    x, y = rng.uniform(BOX.x0 - 0.5, BOX.x1 - 0.5, 300), rng.uniform(BOX.y0 - 0.5, BOX.y1 - 0.5, 300)
    np.testing.assert_allclose(pixel_map.at(x=x, y=y), cubic(x, y), atol=1e-9)


def test_its_slope_is_exact_too(pixel_map):
    """The local affine is the derivative of the mapping."""
    x, y, h = 41.3, 222.2, 1e-3
    by_x = (np.array(cubic(x + h, y)) - cubic(x - h, y)) / (2 * h)
    by_y = (np.array(cubic(x, y + h)) - cubic(x, y - h)) / (2 * h)
    np.testing.assert_allclose(pixel_map.affine_at(x=x, y=y), np.stack([by_x, by_y], axis=1), atol=1e-7)


def test_area_and_scale():
    """A rotation by any angle with scale 2 and a flip has area 4 and scale 2."""
    for angle in (0.0, 0.5, 2.0):
        c, s = 2 * np.cos(angle), 2 * np.sin(angle)
        pixel_map = PixelMap.sampled(lambda x, y, c=c, s=s: (c * x + s * y, s * x - c * y), BOX)
        np.testing.assert_allclose(pixel_map.area_at_nodes(), 4.0, rtol=1e-9)
        assert pixel_map.scale == pytest.approx(2.0)
        np.testing.assert_allclose(pixel_map.mean_affine, [[c, s], [s, -c]], atol=1e-9)


def test_source_box_holds_every_position(pixel_map):
    """Every mapped pixel lies in the source box; without a finite node there is none."""
    x, y = np.meshgrid(np.arange(BOX.x0, BOX.x1), np.arange(BOX.y0, BOX.y1))
    source_x, source_y = pixel_map.at(x=x, y=y)
    box = pixel_map.source_box()
    assert box is not None
    assert box.x0 <= source_x.min()
    assert source_x.max() <= box.x1
    assert box.y0 <= source_y.min()
    assert source_y.max() <= box.y1
    nowhere = PixelMap.sampled(lambda x, y: (x * np.nan, y * np.nan), BOX)
    assert nowhere.source_box() is None
    assert np.isnan(nowhere.scale)


def test_it_travels(pixel_map):
    """It can be pickled, and moved by a displacement at its nodes."""
    again = pickle.loads(pickle.dumps(pixel_map)).moved(np.full(pixel_map.x.shape, 0.25), np.zeros(pixel_map.x.shape))
    before, after = pixel_map.at(x=3.0, y=200.0), again.at(x=3.0, y=200.0)
    assert after[0] - before[0] == pytest.approx(0.25)
    assert after[1] == before[1]
