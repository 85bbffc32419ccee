"""Squares of pixels around places: those of `Box.around`, one by one."""

import numpy as np
import pytest

from diapipe.images import Box
from diapipe.images.squares import Squares

BOX = Box(y0=-20, y1=30, x0=100, x1=160)
HALF = 4
PLACES = np.array([(130.2, 5.7), (100.0, -20.4), (159.49, 29.0), (90.0, 0.0), (500.0, 500.0), (np.nan, 3.0)])


@pytest.fixture
def squares():
    return Squares.around(BOX, x=PLACES[:, 0], y=PLACES[:, 1], half=HALF)


def test_each_square_is_the_one_of_its_box(squares, rng):
    """NaN, or the bits asked for, where it sticks out; all of it for a place that is off or unknown."""
    plane = rng.normal(size=BOX.shape).astype(np.float32)
    mask = rng.integers(1, 99, BOX.shape).astype(np.int32)
    for k, (x, y) in enumerate(PLACES):
        expected = np.full((2 * HALF + 1, 2 * HALF + 1), np.nan, np.float32)
        bits = np.full(expected.shape, 777, np.int32)
        around = Box.around(x=x, y=y, half=HALF) if np.isfinite(x) else None
        inside = around and BOX.intersect(around)
        if inside:
            expected[inside.slices_in(around)] = plane[inside.slices_in(BOX)]
            bits[inside.slices_in(around)] = mask[inside.slices_in(BOX)]
        np.testing.assert_array_equal(squares.values(plane)[k], expected)
        np.testing.assert_array_equal(squares.bits(mask, off_image=777)[k], bits)


def test_the_middle_is_the_pixel_that_holds_the_place_or_the_nearest(squares, rng):
    plane = rng.normal(size=BOX.shape).astype(np.float32)
    nearest = [(6, 130), (-20, 100), (29, 159), (0, 100), (29, 159), (3, 100)]
    expected = [plane[row - BOX.y0, column - BOX.x0] for row, column in nearest]
    np.testing.assert_array_equal(squares.middles(plane), np.float32(expected))
