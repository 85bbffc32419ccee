"""Cut-outs of sources: the pixels of the images, what lies off them, the PSF where each source stands."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.steps.classify.scenes import difference_of, science_of

from diapipe.errors import PsfUndefinedError
from diapipe.images import Box, MaskPlane
from diapipe.images.source_profile import source_profile
from diapipe.images.triplets import OFF_IMAGE, cut_triplets, half_width

HALF = 6


@pytest.fixture
def found(rng):
    """Three sources: inside, between pixels, and in a corner, on images whose box begins at (100, 50)."""
    box = Box(50, 90, 100, 150)
    image = rng.normal(0, 1, (3, *box.shape)).astype(np.float32)
    difference, science = difference_of(image[0], template=image[2], box=box), science_of(image[1], box=box)
    x, y = np.array([120.0, 131.3, 101.0]), np.array([70.0, 71.6, 50.0])
    return cut_triplets(difference, science, x=x, y=y, half=HALF), image, difference


def test_cut_outs_are_the_pixels_around_each_source(found):
    """The middle pixel is the nearest; parent coordinates begin at the box."""
    triplets, image, _ = found
    assert len(triplets) == 3
    for k, (row, column) in enumerate([(20, 20), (22, 31)]):
        cut = np.s_[row - HALF : row + HALF + 1, column - HALF : column + HALF + 1]
        for name, plane in zip(("difference", "science", "template"), image, strict=True):
            np.testing.assert_array_equal(getattr(triplets, name)[k], plane[cut])
    np.testing.assert_allclose(triplets.dx, [0.0, 0.3, 0.0], atol=1e-12)
    np.testing.assert_allclose(triplets.dy, [0.0, -0.4, 0.0], atol=1e-12)


def test_what_lies_off_the_image_has_no_value(found):
    """NaN and the mask of missing data, and nothing of the other side of the image."""
    triplets, image, _ = found
    off = np.zeros((2 * HALF + 1, 2 * HALF + 1), bool)
    off[:HALF], off[:, : HALF - 1] = True, True
    for name in ("difference", "science", "template", "variance"):
        np.testing.assert_array_equal(np.isnan(getattr(triplets, name)[2]), off)
    np.testing.assert_array_equal(triplets.mask[2] == int(OFF_IMAGE), off)
    np.testing.assert_array_equal(triplets.difference[2][HALF:, HALF - 1 :], image[0][: HALF + 1, : HALF + 2])


def test_the_psf_is_that_of_a_source_at_the_place(found):
    """As `source_profile` draws it, to the 4e-4 of its peak that moving it costs."""
    triplets, _, difference = found
    for k, (x, y) in enumerate([(120.0, 70.0), (131.3, 71.6)]):
        drawn = source_profile(difference.exposure.psf, x=x, y=y).values
        margin = drawn.shape[0] // 2 - HALF
        np.testing.assert_allclose(
            triplets.psf[k], drawn[margin:-margin, margin:-margin], atol=4e-4 * drawn.max(), rtol=0
        )


def test_without_a_matched_template_science_less_difference_stands_for_it(rng):
    """As where a difference was read from a file."""
    image = rng.normal(0, 1, (2, 40, 50))
    difference = difference_of(image[0], template=None)
    triplets = cut_triplets(difference, science_of(image[1]), x=np.array([20.0]), y=np.array([20.0]), half=3)
    np.testing.assert_allclose(triplets.template, triplets.science - triplets.difference)


def test_some_of_them(found):
    """By a slice, a mask or numbers."""
    triplets, _, _ = found
    np.testing.assert_array_equal(triplets[1:].psf, triplets[np.array([False, True, True])].psf)
    np.testing.assert_array_equal(triplets[np.array([2])].dx, triplets.dx[2:])


def test_their_width_goes_with_that_of_the_psf(found):
    """Three FWHM of 2.3548 x 1.5 px; without a PSF a sentence."""
    _, _, difference = found
    assert half_width(difference) == int(np.ceil(3 * 2.3548 * 1.5))
    bare = replace(difference, exposure=replace(difference.exposure, psf=None))
    with pytest.raises(PsfUndefinedError, match="cut-outs of its sources need one"):
        half_width(bare)


def test_the_mask_of_the_difference_comes_along(rng):
    """Of either image."""
    mask = np.zeros((40, 50), np.int32)
    mask[20, 21] = int(MaskPlane.SAT_TEMPLATE)
    difference = difference_of(np.zeros((40, 50)), mask=mask)
    triplets = cut_triplets(difference, science_of(np.zeros((40, 50))), x=np.array([20.0]), y=np.array([20.0]), half=2)
    assert triplets.mask[0, 2, 3] == int(MaskPlane.SAT_TEMPLATE)
    assert np.count_nonzero(triplets.mask) == 1
