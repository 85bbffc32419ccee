"""WarpedPsf: the PSF as the resampling draws it."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from diapipe.errors import PsfUndefinedError
from diapipe.images import Box, GaussianPsf, MaskedImage
from diapipe.images.pixel_map import PixelMap
from diapipe.images.psf import WarpedPsf
from diapipe.numerics.interpolant import LANCZOS, Interpolant
from diapipe.steps.template import LanczosWarp, WienerWarp

BOX = Box.from_shape((120, 120))


def mapping(degrees=0.0, scale=1.0, flip=1.0, offset=(20.37, 15.81)):
    c, s = scale * np.cos(np.radians(degrees)), scale * np.sin(np.radians(degrees))

    def positions(x, y):
        return c * (x - 60) - s * flip * (y - 60) + 60 + offset[0], s * (x - 60) + c * flip * (y - 60) + 60 + offset[1]

    return PixelMap.sampled(positions, BOX)


@pytest.mark.parametrize("warp", [LanczosWarp(), WienerWarp()])
@pytest.mark.parametrize(("degrees", "scale", "flip"), [(0, 1, 1), (0.5, 1.01, 1), (35, 0.6, -1), (10, 2, 1)])
def test_a_warped_star_is_the_warped_psf(warp, degrees, scale, flip):
    """A star whose warped image is centred on a pixel has the shape of the WarpedPsf to 1e-3 of its peak."""
    pixel_map = mapping(degrees, scale, flip)
    sigma = 1.5 * max(scale, 1.0)
    psf = WarpedPsf(GaussianPsf(sigma, 61), pixel_map, warp.interpolant(pixel_map))
    y, x = np.mgrid[:170, :170]
    for column, row in ((60, 60), (47, 71)):
        at_x, at_y = pixel_map.at(x=column, y=row)
        star = np.exp(-((x - at_x) ** 2 + (y - at_y) ** 2) / (2 * sigma**2))
        image = warp.resampled(MaskedImage.from_planes(star), pixel_map, BOX).image
        half = 10
        drawn = image[row - half : row + half + 1, column - half : column + half + 1].astype(float)
        middle = psf.size // 2
        model = psf.kernel_image(x=column, y=row)
        model = model[middle - half : middle + half + 1, middle - half : middle + half + 1]
        np.testing.assert_allclose(drawn / drawn.sum(), model / model.sum(), atol=1e-3 * model.max())


def test_unit_sum_and_size():
    """Unit sum, an odd side, and half the size where the template's pixels are half as large."""
    psf = WarpedPsf(GaussianPsf(2.5, 41), mapping(scale=2.0), Interpolant(stretch=2.0))
    image = psf.kernel_image(x=60, y=60)
    assert psf.size == 21
    assert image.shape == (21, 21)
    assert image.sum() == pytest.approx(1.0)
    assert psf.sigma_at(x=60, y=60) == pytest.approx(1.25, rel=0.02)


def test_the_blur_is_in_it():
    """The Wiener interpolant of blur b widens the PSF from sigma to sqrt(sigma² + b²)."""
    psf = WarpedPsf(GaussianPsf(2.0, 41), mapping(), Interpolant(blur_px=0.5))
    assert psf.sigma_at(x=60, y=60) == pytest.approx(np.hypot(2.0, 0.5), rel=2e-3)


def test_a_shift_by_whole_pixels_changes_nothing():
    """Where pixels coincide, Lanczos-3 leaves the PSF as it is."""
    own = GaussianPsf(1.7, 25)
    psf = WarpedPsf(own, mapping(offset=(7.0, -4.0)), LANCZOS)
    np.testing.assert_allclose(psf.kernel_image(x=30, y=40), own.kernel_image(x=0, y=0), atol=1e-6)


def test_nowhere():
    """A position that is not on the source has no PSF; the error names it."""
    nowhere = PixelMap.sampled(lambda x, y: (x * np.nan, y * np.nan), BOX)
    with pytest.raises(PsfUndefinedError, match=r"\(5\.0, 6\.0\)"):
        WarpedPsf(GaussianPsf(2.0), nowhere).kernel_image(x=5, y=6)


def test_it_travels():
    """It survives pickling."""
    psf = WarpedPsf(GaussianPsf(2.0), mapping(3.0), Interpolant(blur_px=0.5))
    again = pickle.loads(pickle.dumps(psf))
    assert np.array_equal(again.kernel_image(x=10, y=10), psf.kernel_image(x=10, y=10))
