"""MaskedImage: three planes, one shape, parent coordinates."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diapipe.errors import BoundsError, InputError
from diapipe.images import Box, MaskedImage, MaskPlane


def coordinate_image(box: Box) -> MaskedImage:
    """An image in which every pixel tells where it is: 1000 y + x in parent coordinates."""
    y, x = np.mgrid[box.y0 : box.y1, box.x0 : box.x1]
    return MaskedImage.from_planes(1000.0 * y + x, mask=(y % 2).astype(np.int32), variance=1.0 + y, box=box)


@given(st.integers(0, 19), st.integers(1, 10), st.integers(0, 29), st.integers(1, 10))
def test_a_cut_keeps_parent_coordinates(row, height, column, width):
    """Pixel (x, y) has the same value in the image and in any cut that holds it."""
    whole = coordinate_image(Box(100, 130, 200, 240))
    part = whole[Box(100 + row, 100 + row + height, 200 + column, 200 + column + width)]
    y, x = np.mgrid[part.box.y0 : part.box.y1, part.box.x0 : part.box.x1]
    np.testing.assert_array_equal(part.image, 1000.0 * y + x)
    np.testing.assert_array_equal(part.mask, y % 2)
    np.testing.assert_array_equal(part.variance, 1.0 + y)


def test_cutting_twice_is_cutting_once():
    whole = coordinate_image(Box(0, 30, 0, 40))
    inner = Box(12, 15, 20, 25)
    np.testing.assert_array_equal(whole[Box(10, 20, 10, 30)][inner].image, whole[inner].image)


def test_empty_planes_have_no_usable_pixel_and_no_memory():
    """All pixels are one: nothing is usable, nothing can be written, and a cut has its place in the parent."""
    empty = MaskedImage.empty(Box(10, 40_010, 5, 50_005))
    assert {plane.strides for plane in (empty.image, empty.mask, empty.variance)} == {(0, 0)}
    assert not empty.image.flags.writeable
    part = empty[Box(20, 25, 30, 33)]
    assert part.shape == (5, 3)
    assert not part.usable().any()
    assert (part.mask == int(MaskPlane.NO_DATA)).all()


def test_a_cut_copies_nothing():
    whole = coordinate_image(Box(0, 30, 0, 40))
    part = whole[Box(3, 5, 7, 9)]
    for plane in ("image", "mask", "variance"):
        assert np.shares_memory(getattr(part, plane), getattr(whole, plane))


@pytest.mark.parametrize("index", [np.s_[0:10, 0:10], 3, np.ones((30, 40), bool)])
def test_array_indices_are_refused(index):
    """They would mean other pixels than parent coordinates; the message names what is needed."""
    with pytest.raises(InputError, match=r"cut by a Box\(y0, y1, x0, x1\) in parent coordinates, not by"):
        coordinate_image(Box(0, 30, 0, 40))[index]


def test_a_cut_beyond_the_image_is_refused_by_both_names():
    with pytest.raises(BoundsError, match=r"box \[-1:5, 0:5\] reaches outside image \[0:30, 0:40\]"):
        coordinate_image(Box(0, 30, 0, 40))[Box(-1, 5, 0, 5)]


@pytest.mark.parametrize("plane", ["image", "mask", "variance", "box"])
def test_planes_of_different_shape_are_refused(plane):
    """The message gives all four shapes, so that the odd one is seen."""
    good = coordinate_image(Box(0, 6, 0, 5))
    odd = Box(0, 6, 0, 4) if plane == "box" else getattr(good, plane)[:, :4]
    with pytest.raises(InputError, match=r"\(6, 5\).*must have one shape") as caught:
        dataclasses.replace(good, **{plane: odd})
    assert "(6, 4)" in str(caught.value)


def test_planes_get_their_types_and_defaults():
    made = MaskedImage.from_planes(np.arange(12).reshape(3, 4), variance=2.5)
    assert (made.image.dtype, made.mask.dtype, made.variance.dtype) == (np.float32, np.int32, np.float32)
    assert made.box == Box(0, 3, 0, 4)
    assert made.shape == (3, 4)
    assert not made.mask.any()
    np.testing.assert_array_equal(made.variance, 2.5)


def test_an_image_cannot_be_rebound():
    with pytest.raises(dataclasses.FrozenInstanceError):
        coordinate_image(Box(0, 3, 0, 3)).image = np.zeros((3, 3), np.float32)


@pytest.mark.parametrize(
    ("change", "usable"),
    [
        ({}, True),
        ({"image": np.nan}, False),
        ({"image": np.inf}, False),
        ({"variance": 0.0}, False),
        ({"variance": -1.0}, False),
        ({"variance": np.nan}, False),
        ({"variance": np.inf}, False),
        ({"mask": MaskPlane.SAT}, False),
        ({"mask": MaskPlane.DETECTED}, True),
        ({"mask": MaskPlane.SAT_TEMPLATE}, True),
    ],
)
def test_a_usable_pixel_has_value_variance_and_no_defect(change, usable):
    planes = {"image": np.ones((2, 3)), "mask": np.zeros((2, 3), np.int32), "variance": np.ones((2, 3))}
    for name, value in change.items():
        planes[name][1, 2] = value
    expected = np.ones((2, 3), bool)
    expected[1, 2] = usable
    image = MaskedImage.from_planes(planes["image"], mask=planes["mask"], variance=planes["variance"])
    np.testing.assert_array_equal(image.usable(), expected)


def test_the_planes_that_spoil_a_pixel_can_be_chosen():
    image = MaskedImage.from_planes(np.ones((1, 2)), mask=np.array([[int(MaskPlane.SUSPECT), int(MaskPlane.BAD)]]))
    np.testing.assert_array_equal(image.usable(MaskPlane.SUSPECT), [[False, True]])
