"""Box: the algebra of rectangles in parent coordinates."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diapipe.errors import BoundsError
from diapipe.images import Box
from diapipe.images.box import pixel_of


@st.composite
def boxes(draw: st.DrawFn, min_side: int = 1) -> Box:
    y0, x0 = draw(st.integers(-50, 50)), draw(st.integers(-50, 50))
    return Box(y0, y0 + draw(st.integers(min_side, 40)), x0, x0 + draw(st.integers(min_side, 40)))


def pixels(box: Box) -> set[tuple[int, int]]:
    """The slow twin: a box as the set of its pixels."""
    return {(y, x) for y in range(box.y0, box.y1) for x in range(box.x0, box.x1)}


@given(boxes(), boxes())
def test_intersection_is_that_of_the_pixel_sets(a, b):
    """``a & b`` holds the pixels that both hold, whichever is asked, and None where there are none."""
    common = a.intersect(b)
    assert common == b.intersect(a)
    assert (pixels(common) if common else set()) == pixels(a) & pixels(b)


@given(boxes())
def test_a_box_meets_itself_in_itself(a):
    assert a.intersect(a) == a
    assert a.contains(a)


@given(boxes(), boxes())
def test_containing_is_meeting_in_the_whole(a, b):
    assert a.contains(b) == (a.intersect(b) == b)


@given(boxes(), st.integers(0, 9))
def test_shrinking_undoes_growing(a, n):
    assert a.dilated(n).dilated(-n) == a
    assert a.dilated(n).contains(a)


@given(boxes(), st.integers(-9, 9), st.integers(-9, 9))
def test_a_shift_moves_the_center_and_keeps_the_shape(a, dx, dy):
    moved = a.shifted(x=dx, y=dy)
    assert moved.shape == a.shape
    assert (moved.x_center - a.x_center, moved.y_center - a.y_center) == (dx, dy)


@given(boxes())
def test_area_counts_the_pixels(a):
    assert a.area == len(pixels(a)) == a.height * a.width
    assert a.shape == (a.height, a.width)


@given(boxes(), st.data())
def test_slices_cut_the_pixels_of_the_box(parent, data):
    """An array of parent coordinates, cut by ``slices_in``, holds the coordinates of the box."""
    y0 = data.draw(st.integers(parent.y0, parent.y1 - 1))
    x0 = data.draw(st.integers(parent.x0, parent.x1 - 1))
    part = Box(y0, data.draw(st.integers(y0 + 1, parent.y1)), x0, data.draw(st.integers(x0 + 1, parent.x1)))
    rows, columns = np.mgrid[parent.y0 : parent.y1, parent.x0 : parent.x1]
    cut = part.slices_in(parent)
    assert {(int(y), int(x)) for y, x in zip(rows[cut].ravel(), columns[cut].ravel(), strict=True)} == pixels(part)


def test_slices_of_a_box_that_sticks_out_name_both():
    with pytest.raises(BoundsError) as caught:
        Box(0, 50, -3, 47).slices_in(Box(0, 4000, 0, 4072))
    assert str(caught.value) == "box [0:50, -3:47] reaches outside image [0:4000, 0:4072]"
    assert caught.value.context["box"] == Box(0, 50, -3, 47)


@pytest.mark.parametrize("ends", [(5, 4, 0, 1), (0, 1, 5, 4)])
def test_a_box_that_ends_before_it_begins_is_refused(ends):
    with pytest.raises(BoundsError, match="ends before it begins"):
        Box(*ends)


def test_an_empty_box_has_no_pixels_and_meets_nothing():
    empty = Box(3, 3, 0, 9)
    assert empty.area == 0
    assert empty.intersect(Box(0, 9, 0, 9)) is None


@given(st.floats(-1e6, 1e6))
def test_a_pixel_reaches_half_a_pixel_around_its_centre(coordinate):
    """Pixel n holds n - 0.5 up to, not including, n + 0.5: negative coordinates are no exception."""
    n = pixel_of(coordinate)
    assert n - 0.5 <= coordinate < n + 0.5


@given(boxes(), st.floats(-60, 100), st.floats(-60, 100))
def test_a_point_lies_in_the_box_that_holds_its_pixel(a, x, y):
    assert a.contains_point(x=x, y=y) == ((pixel_of(y), pixel_of(x)) in pixels(a))


@given(st.floats(-99, 99), st.floats(-99, 99), st.integers(0, 12))
def test_a_square_around_a_point_has_its_pixel_in_the_middle(x, y, half):
    square = Box.around(x=x, y=y, half=half)
    assert square.shape == (2 * half + 1, 2 * half + 1)
    assert (square.x_center, square.y_center) == (pixel_of(x), pixel_of(y))


def test_a_box_from_a_shape_begins_where_told():
    assert Box.from_shape((3, 4), x0=10, y0=-20) == Box(-20, -17, 10, 14)
    assert Box.from_shape((3, 4)) == Box(0, 3, 0, 4)
