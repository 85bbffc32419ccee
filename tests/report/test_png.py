"""The PNG writer against a decoder written from the specification, and the page's pictures."""

import numpy as np
import pytest

from diapipe.report.png import data_url, encode_png
from diapipe.report.stretch import AsinhStretch, binned, diverging_palette, grey_palette, symmetric_indices
from png_files import decoded


@pytest.mark.parametrize("shape", [(1, 1), (7, 13), (64, 31)])
def test_a_png_gives_back_its_pixels_with_row_zero_at_the_bottom(rng, shape):
    indices = rng.integers(0, 256, shape).astype(np.uint8)
    pixels, palette = decoded(encode_png(indices, grey_palette()))
    np.testing.assert_array_equal(pixels[::-1], indices)
    np.testing.assert_array_equal(palette, grey_palette())


def test_a_data_url_names_its_type():
    assert data_url(b"abc") == "data:image/png;base64,YWJj"


@pytest.mark.parametrize(("shape", "at_most"), [((50, 70), 35), ((51, 71), 20), ((8, 8), 100)])
def test_binning_averages_blocks(rng, shape, at_most):
    """Each binned pixel is the mean of its block; an image that is small enough stays as it is."""
    image = rng.normal(size=shape).astype(np.float32)
    small = binned(image, at_most=at_most)
    factor = -(-max(shape) // at_most)
    assert max(small.shape) <= at_most
    for row, column in ((0, 0), (small.shape[0] - 1, small.shape[1] - 1)):
        block = image[row * factor : (row + 1) * factor, column * factor : (column + 1) * factor]
        assert small[row, column] == pytest.approx(block.mean(dtype=np.float64), abs=1e-6)


def test_binning_keeps_missing_pixels_missing():
    image = np.ones((10, 10), np.float32)
    image[3, 4] = np.nan
    small = binned(image, at_most=5)
    assert np.isnan(small[1, 2])
    assert np.isnan(small).sum() == 1


@pytest.mark.parametrize("at_most", [5, 20])
def test_binning_takes_a_masked_pixel_for_a_missing_one(at_most):
    """A pixel with one of the bits is as good as NaN, one with other bits is a value like any."""
    image, mask = np.ones((10, 10), np.float32), np.zeros((10, 10), np.int32)
    mask[3, 4], mask[8, 8] = 6, 8
    small = binned(image, at_most=at_most, mask=mask, bits=2 | 1)
    assert np.isnan(small[(1, 2) if at_most == 5 else (3, 4)])
    assert np.isnan(small).sum() == 1
    assert np.isfinite(image).all()


def test_a_stretch_is_monotonic_and_marks_missing_pixels():
    """Black at the low end, white at the high end, rising between; 0 only where there is no value."""
    stretch = AsinhStretch(sigma=2.0)
    entries = stretch.indices(np.array([-1e9, -12.0, 0.0, 2.0, 20.0, 300.0, 1e9, np.nan])).astype(int)
    assert list(entries[:2]) == [1, 1]
    assert (np.diff(entries[1:6]) > 0).all()
    assert list(entries[5:]) == [255, 255, 0]


def test_zero_is_in_the_middle_of_the_diverging_palette():
    entries = symmetric_indices(np.array([-2.0, -1.0, 0.0, 1.0, 2.0]), limit=1.0)
    assert list(entries) == [1, 1, 128, 255, 255]
    assert diverging_palette()[128].min() > 230
