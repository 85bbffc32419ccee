"""A noun refuses what it cannot be when it is made, in a sentence, as an InputError."""

from __future__ import annotations

import numpy as np
import pytest

from diapipe.errors import InputError
from diapipe.images import Box, ChebyshevField, Exposure, GaussianPsf, MaskedImage, PhotoCalib

BOX = Box(0, 2, 0, 3)
PIXELS = np.zeros((2, 3), np.float32)
FLAGS = np.zeros((2, 3), np.int32)
IMAGE = MaskedImage.from_planes(PIXELS)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Box(1.5, 2, 0, 3), r"needs whole numbers of pixels, not 1\.5"),
        (lambda: MaskedImage(PIXELS.astype(float), FLAGS, PIXELS, BOX), r"not float64, int32 and float32; .*converts"),
        (lambda: MaskedImage(PIXELS, FLAGS.astype(np.int64), PIXELS, BOX), "not float32, int64 and float32"),
        (lambda: MaskedImage.from_planes(np.zeros(5)), r"needs rows and columns, not the shape \(5,\)"),
        (lambda: GaussianPsf(2.0, -3), r"an odd width, not 2\.0 and -3"),
        (lambda: GaussianPsf(float("inf")), "needs sigma > 0"),
        (lambda: PhotoCalib(-1.0), r"positive flux, not -1\.0 nJy"),
        (lambda: PhotoCalib(float("nan")), "positive flux, not nan nJy"),
        (lambda: Exposure(name="a.fits", masked_image=IMAGE, wcs="foo"), "wcs of the exposure a.fits must be a WCS"),
        (lambda: Exposure(name="a.fits", masked_image=None), "masked_image of the exposure a.fits must be a Mask"),
        (lambda: ChebyshevField(np.zeros(4), BOX), "4 coefficients do not make a complete 2-D polynomial"),
    ],
)
def test_what_cannot_be_is_refused(make, sentence):
    with pytest.raises(InputError, match=sentence):
        make()


def test_whole_numbers_of_numpy_are_whole_numbers():
    assert Box(np.int64(0), np.int32(2), 0, 3) == BOX
