"""PhotoCalib: counts to nanojansky."""

from __future__ import annotations

import numpy as np

from diapipe.images import Box, ChebyshevField, PhotoCalib


def test_magnitude_31_4_is_one_nanojansky():
    """AB magnitude = 31.4 - 2.5 log10(flux in nJy), to the 0.0006 mag of the rounded 31.4."""
    assert abs(float(PhotoCalib.from_zero_point(31.4).at(x=0.0, y=0.0)) - 1) < 1e-3


def test_a_brighter_zero_point_by_five_is_a_factor_hundred():
    ratio = PhotoCalib.from_zero_point(25.0).mean / PhotoCalib.from_zero_point(30.0).mean
    np.testing.assert_allclose(ratio, 100.0, rtol=1e-14)


def test_a_constant_calibration_has_the_shape_of_the_positions():
    values = PhotoCalib(2.5).at(x=np.zeros((3, 4)), y=np.zeros((3, 4)))
    assert values.shape == (3, 4)
    assert (values == 2.5).all()


def test_a_varying_calibration_follows_its_field():
    box = Box(0, 10, 0, 20)
    field = ChebyshevField(np.array([1.0, 0.02, 0.0]), box)
    calibration = PhotoCalib(50.0, field=field)
    np.testing.assert_allclose(calibration.at(x=np.array([-0.5, 9.5, 19.5]), y=np.full(3, 4.5)), [49.0, 50.0, 51.0])
