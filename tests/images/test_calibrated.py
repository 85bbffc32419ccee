"""calibrated: an exposure in nJy, with everything that is measured in counts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from diapipe.errors import InputError
from diapipe.images import Box, ChebyshevField, Exposure, MaskedImage, ObservationInfo, PhotoCalib, calibrated

BOX = Box.from_shape((30, 40))


def counts(calib):
    planes = MaskedImage.from_planes(np.full(BOX.shape, 7.0, np.float32), variance=np.full(BOX.shape, 4.0, np.float32))
    info = ObservationInfo(gain=2.0, read_noise=5.0, saturation=1000.0)
    return Exposure(name="image", masked_image=planes, photo_calib=calib, info=info)


def test_everything_that_is_counted_is_converted():
    """Pixels by f, variance by f², electrons a count by 1/f; the error of the calibration stays the same part of it."""
    found = calibrated(counts(PhotoCalib(3.0, 0.06)))
    np.testing.assert_allclose(found.masked_image.image, 21.0)
    np.testing.assert_allclose(found.masked_image.variance, 36.0)
    assert (found.info.gain, found.info.read_noise, found.info.saturation) == (2.0 / 3.0, 5.0, 3000.0)
    assert (found.unit, found.photo_calib.mean, found.photo_calib.error) == ("nJy", 1.0, 0.02)


def test_a_calibration_that_varies_is_followed():
    """Twice the mean slope from one side of the image to the other."""
    field = ChebyshevField(np.array([1.0, 0.1, 0.0]), BOX)
    found = calibrated(counts(PhotoCalib(3.0, field=field))).masked_image
    columns = 21.0 * (1.0 + 0.1 * (np.arange(40) - 19.5) / 20.0)
    np.testing.assert_allclose(found.image[5], columns, rtol=1e-6)
    np.testing.assert_allclose(found.variance, 4.0 * (found.image / 7.0) ** 2, rtol=1e-6)


def test_what_is_in_njy_stays_and_what_is_worth_nothing_known_is_refused():
    in_njy = replace(counts(None), unit="nJy")
    assert calibrated(in_njy).masked_image is in_njy.masked_image
    assert calibrated(in_njy).photo_calib.mean == 1.0
    with pytest.raises(InputError, match=r"what a count of image is worth; a photo_calib \(a zero point\) is needed"):
        calibrated(counts(None))
