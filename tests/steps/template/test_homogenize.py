"""A template whose PSF leaps is brought to one PSF: stars, noise, and what stays as it is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.signal import fftconvolve

from diapipe.images import Box, Exposure, GaussianPsf, MaskedImage, MaskPlane
from diapipe.images.psf import HomogenizedPsf, Psf
from diapipe.images.psf.stacked import StackedPsf
from diapipe.numerics.shifting import shift_stamp
from diapipe.numerics.whitening import noise_gain
from diapipe.steps.template import homogenize

BOX = Box(50, 450, 100, 600)
BORDER, CELL = 353, 8
LEFT, RIGHT = 1.75, 1.95
FLUX = 1e5


def leaping(left: float = LEFT, right: float = RIGHT) -> StackedPsf:
    """The PSF of a stack of one image left of the border and another from there on, with weights in cells of 8 px."""
    images = np.stack([GaussianPsf(s, width=41).kernel_image(x=0.0, y=0.0)[None] for s in (left, right)])
    nodes = np.arange(BOX.x0 + 3.5, BOX.x1 + CELL, CELL)
    share = np.clip((BORDER - 0.5 - (nodes - 4.0)) / CELL, 0.0, 1.0)
    weights = np.stack([share, 1.0 - share]).astype(np.float32)[:, None, :]
    return StackedPsf(images, (BOX, BOX), weights, float(nodes[0]), float(BOX.y0), float(CELL))


def template(image: np.ndarray, variance: np.ndarray | float = 1.0, psf: Psf | None = None) -> Exposure:
    planes = MaskedImage.from_planes(
        image.astype(np.float32), variance=np.broadcast_to(variance, BOX.shape).astype(np.float32), box=BOX
    )
    return Exposure(name="template", masked_image=planes, psf=psf or leaping())


def star(x: float, y: float) -> np.ndarray:
    """One star on the stack: each pixel as the image that it comes from draws it."""
    v, u = np.mgrid[BOX.y0 : BOX.y1, BOX.x0 : BOX.x1]
    square = (u - x) ** 2 + (v - y) ** 2
    left, right = (FLUX * np.exp(-0.5 * square / s**2) / (2.0 * np.pi * s**2) for s in (LEFT, RIGHT))
    return np.where(u < BORDER, left, right)


def left_of(exposure: Exposure, target: np.ndarray, x: float, y: float) -> tuple[float, float]:
    """PSF flux and height of what is left of a star less the target's, in units of those of the star."""
    column, row = round(x), round(y)
    expected = shift_stamp(target, dx=x - column, dy=y - row)[8:33, 8:33]
    around = exposure.masked_image[Box(row - 12, row + 13, column - 12, column + 13)].image / FLUX
    off = around - expected
    return abs((off * expected).sum() / (expected**2).sum()), np.abs(off).max() / expected.max()


@pytest.mark.parametrize("offset", [-60.0, -14.3, -7.0, 6.0, 9.6, 50.0])
def test_stars_on_either_side_become_alike(offset):
    """5% of a star's flux and 10% of its height are left on either side before; 0.3% and 2.5% afterwards.

    So it is down to 6 px from the border: 3 sigma of the star.
    """
    x, y = BORDER - 0.5 + offset, 200.3
    before = template(star(x, y))
    after = homogenize(before)
    assert isinstance(after.psf, HomogenizedPsf)
    flux, height = left_of(before, after.psf.target, x, y)
    assert flux > 0.05
    assert height > 0.1
    flux, height = left_of(after, after.psf.target, x, y)
    assert flux < 0.003
    assert height < 0.025


def test_the_psf_is_that_of_the_pixels():
    """The star of the result is drawn by its PSF to a thousandth of its height, away from the border."""
    x, y = 480.0, 200.0
    after = homogenize(template(star(x, y)))
    assert after.psf is not None
    around = after.masked_image[Box(190, 211, 470, 491)].image / FLUX
    expected = after.psf.kernel_image(x=x, y=y)[10:31, 10:31]
    np.testing.assert_allclose(around, expected, atol=1e-3 * expected.max())


def test_errors_of_fluxes_stay_right(rng):
    """On either side the variance of PSF fluxes on noise is what variance plane and noise correlation say.

    The part with twice the noise has it still. An area of 340 x 200 px holds some 1,600 PSFs (4π sigma² each), so that
    a variance is known to 3.5%; three of that are allowed.
    """
    right = np.arange(BOX.x0, BOX.x1) >= BORDER
    variance = np.where(right, 2.0, 1.0)[None, :] + np.zeros(BOX.shape)
    after = homogenize(template(rng.normal(size=BOX.shape) * np.sqrt(variance), variance))
    assert isinstance(after.psf, HomogenizedPsf)
    profile = after.psf.target
    flux = fftconvolve(after.masked_image.image, profile, mode="same") / (profile**2).sum()
    for columns in (slice(30, 230), slice(276, 470)):
        told = after.masked_image.variance[30:-30, columns].mean() * noise_gain(profile, after.noise_correlation)
        assert flux[30:-30, columns].var() * (profile**2).sum() == pytest.approx(told, rel=0.105)
    assert after.masked_image.variance[5, -5] / after.masked_image.variance[5, 5] > 2.0


def test_bad_pixels_stay_and_spoil_nothing(rng):
    """A saturated pixel and a hole keep their values; the pixels around them see neither."""
    image = rng.normal(size=BOX.shape)
    clean = homogenize(template(image))
    spoilt = template(image)
    spoilt.masked_image.image[100, 50] = 1e6
    spoilt.masked_image.mask[100, 50] |= int(MaskPlane.SAT)
    spoilt.masked_image.image[200, 400] = np.nan
    after = homogenize(spoilt)
    assert after.masked_image.image[100, 50] == 1e6
    assert np.isnan(after.masked_image.image[200, 400])
    off = np.abs(after.masked_image.image - clean.masked_image.image)
    off[100, 50] = off[200, 400] = 0.0
    assert off.max() < 0.5


@pytest.mark.parametrize("psf", [GaussianPsf(2.0), leaping(LEFT, LEFT), leaping(LEFT, LEFT * 1.003), None])
def test_what_does_not_leap_is_left_alone(psf, rng):
    """A smooth PSF, one that leaps by nothing or by too little to matter, or none at all: the template itself."""
    given = replace(template(rng.normal(size=BOX.shape)), psf=psf)
    assert homogenize(given) is given


def test_nothing_depends_on_threads_and_nothing_is_changed(rng):
    """Two threads give the bits of one; the template that was given is as it was."""
    given = template(rng.normal(size=BOX.shape))
    copy = given.masked_image.image.copy()
    one, two = (homogenize(given, n_threads=n).masked_image for n in (1, 2))
    np.testing.assert_array_equal(one.image, two.image)
    np.testing.assert_array_equal(one.variance, two.variance)
    np.testing.assert_array_equal(given.masked_image.image, copy)
