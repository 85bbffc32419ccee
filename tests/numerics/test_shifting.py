"""Sub-pixel shifts: closed forms for Gaussians, identities for whole pixels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diapipe.numerics.shifting import shift_matrix, shift_stamp, sinc_weights


def gaussian(sigma: float, *, size: int = 31, dx: float = 0.0, dy: float = 0.0) -> np.ndarray:
    offset = np.arange(size) - size // 2
    along_x = np.exp(-0.5 * ((offset - dx) / sigma) ** 2)
    along_y = np.exp(-0.5 * ((offset - dy) / sigma) ** 2)
    return np.outer(along_y, along_x)


@given(st.floats(-0.5, 0.5), st.floats(-0.5, 0.5))
def test_a_shifted_gaussian_is_the_gaussian_drawn_there(dx, dy):
    """At FWHM 2.5 px (sigma 1.06) half a pixel costs 3e-3 of the peak along each axis: aliasing."""
    error = shift_stamp(gaussian(2.5 / 2.3548), dx=dx, dy=dy) - gaussian(2.5 / 2.3548, dx=dx, dy=dy)
    assert np.abs(error).max() < 6e-3


@given(st.floats(-0.5, 0.5), st.floats(-0.5, 0.5))
def test_a_well_sampled_gaussian_is_shifted_better(dx, dy):
    """At sigma 2 px nothing is aliased: 2.1e-4 of the peak along each axis is the ripple of the window."""
    assert np.abs(shift_stamp(gaussian(2.0), dx=dx, dy=dy) - gaussian(2.0, dx=dx, dy=dy)).max() < 4.2e-4


def test_no_shift_is_a_copy(rng):
    stamp = rng.normal(size=(7, 9))
    same = shift_stamp(stamp, dx=0.0, dy=0.0)
    np.testing.assert_array_equal(same, stamp)
    assert not np.shares_memory(same, stamp)


@pytest.mark.parametrize(("dx", "dy"), [(1, 0), (0, 1), (-2, 3), (4, -4)])
def test_a_whole_shift_moves_pixels(dx, dy, rng):
    """A peak at column c moves to c + dx; what comes in from outside is zero."""
    stamp = rng.normal(size=(11, 12))
    expected = np.zeros_like(stamp)
    for row, column in np.ndindex(stamp.shape):
        if 0 <= row - dy < 11 and 0 <= column - dx < 12:
            expected[row, column] = stamp[row - dy, column - dx]
    np.testing.assert_allclose(shift_stamp(stamp, dx=float(dx), dy=float(dy)), expected, atol=1e-12)


@given(st.floats(0.0, 1.0))
def test_weights_have_unit_sum(fraction):
    """A constant stays constant."""
    weights = sinc_weights(fraction)
    assert len(weights) == 10
    assert abs(weights.sum() - 1) < 1e-14


@given(st.floats(-3.0, 3.0))
def test_a_matrix_shifts_one_way_as_its_transpose_shifts_back(shift):
    """The interpolant is even: moving by -s is the transpose of moving by s."""
    np.testing.assert_allclose(shift_matrix(15, -shift), shift_matrix(15, shift).T, atol=1e-12)


def test_several_stamps_are_shifted_as_each(rng):
    """To the rounding of a product of matrices."""
    stamps = rng.normal(size=(3, 9, 11))
    each = [shift_stamp(stamp, dx=0.3, dy=-1.2) for stamp in stamps]
    np.testing.assert_allclose(shift_stamp(stamps, dx=0.3, dy=-1.2), each, atol=1e-14)
