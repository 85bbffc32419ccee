"""The acceptance bars of ZOGY (SPEC N), at their tolerance or tighter."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diapipe.errors import PsfUndefinedError
from diapipe.images import Box, ChebyshevField, GaussianPsf, SpatialKernel
from diapipe.images.cells import cells_of
from diapipe.steps.match import AlardLupton, match
from diapipe.steps.subtract import Zogy, correlated, subtract
from gaussian_sky import drawn, with_planes
from made_images import BAD, GOOD, MIDDLE, SIDE, made_pair, made_stars

INNER = np.s_[30:-30, 30:-30]
BRIGHT = (5e3, 5e4)


def proper(science, template, stars):
    """Matched as the flow matches, then both filtered."""
    found = match(science, template, stars, algorithm=AlardLupton())
    return subtract(
        science,
        template,
        found.kernel,
        found.background,
        convolved=found.convolved,
        relative_error=found.relative_error,
        stars=(stars.x, stars.y),
        algorithm=Zogy(),
    )


def significance(difference, science, template):
    """The score in units of all its noise."""
    planes = correlated(difference, science, template).masked_image
    return planes.image / np.sqrt(planes.variance)


@pytest.mark.parametrize("widths", [(GOOD, BAD), (BAD, GOOD), (MIDDLE, MIDDLE)])
def test_noise_of_100_and_100_has_a_variance_of_200(widths):
    """Bars: 10% for the pixels, 5% for the plane, no score above 5 sigma. Here 3% (error 0.8%), 2%, and 5 sigma; 200 is
    the noise of a pixel of either image, whatever the PSFs.
    """
    made = made_stars(flux=BRIGHT)
    science, template, stars = made_pair(science=widths[0], template=widths[1], noise=(10.0, 10.0), stars=made)
    difference = proper(science, template, stars)
    planes = difference.exposure.masked_image
    assert planes.image[INNER].var() == pytest.approx(200.0, rel=0.03)
    assert np.median(planes.variance[INNER]) == pytest.approx(200.0, rel=0.02)
    assert np.nanmax(np.abs(significance(difference, science, template)[INNER])) < 5.0


def test_a_star_ten_per_cent_brighter_is_found():
    """Bar: a score above 5 sigma. The brightest star stands at 0.1 F / (σ √(4π) w), some 35 sigma, and where it is."""
    x, y, flux = made_stars(flux=BRIGHT)
    inside = (np.abs(x - 128) < 90) & (np.abs(y - 128) < 90)
    brightest = np.flatnonzero(inside)[np.argmax(flux[inside])]
    more = drawn((SIDE, SIDE), x[[brightest]], y[[brightest]], 0.1 * flux[[brightest]], sigma=GOOD)
    science, template, stars = made_pair(
        science=GOOD, template=MIDDLE, noise=(10.0, 10.0), stars=(x, y, flux), light=more
    )
    others = np.arange(len(x)) != brightest
    found = significance(proper(science, template, stars.select(others)), science, template)
    row, column = np.unravel_index(np.nanargmax(found), found.shape)
    assert found[row, column] > 20.0
    assert np.hypot(column - x[brightest], row - y[brightest]) < 1.0


@pytest.mark.parametrize("kind", ["science", "template"])
def test_a_delta_lands_where_it_was(kind):
    """Bar: exactly. One bright pixel of either image is the largest of the difference in size, of its sign, and the
    images of symmetric PSFs stay symmetric around it.
    """
    box = Box.from_shape((128, 128))
    science, template, _ = made_pair(science=GOOD, template=GOOD, noise=(10.0, 10.0))
    empty = np.zeros(box.shape, np.float32)
    images = {}
    for image in (science, template):
        spot = empty.copy()
        if image.name == kind:
            spot[60, 71] = 1e4
        images[image.name] = with_planes(
            replace(image[box], noise_correlation=None), image=spot, variance=np.full(box.shape, 100.0, np.float32)
        )
    kernel = SpatialKernel.constant(np.ones((1, 1)), box)
    found = subtract(
        images["science"],
        images["template"],
        kernel,
        ChebyshevField.constant(0.0, box),
        convolved="template",
        algorithm=Zogy(),
    ).exposure.masked_image.image
    assert np.unravel_index(np.argmax(np.abs(found)), found.shape) == (60, 71)
    assert np.sign(found[60, 71]) == (1.0 if kind == "science" else -1.0)
    stamp = found[50:71, 61:82]
    np.testing.assert_allclose(stamp, stamp[::-1, ::-1], atol=1e-5 * np.abs(stamp).max())


@given(st.integers(1, 300), st.integers(1, 300), st.integers(1, 9), st.integers(-50, 50))
def test_cells_tile_the_image_exactly_once(height, width, per_axis, start):
    """Bar: every pixel lies in one cell, also where there are more cells than pixels."""
    box = Box.from_shape((height, width), y0=start, x0=-start)
    counts = np.zeros(box.shape, np.int64)
    for cell in cells_of(box, per_axis):
        counts[cell.slices_in(box)] += 1
    assert (counts == 1).all()


def test_images_of_which_nothing_is_usable_are_no_crash():
    """A variance of 0 means that a pixel is not known: NaN or fills, never a source; without any PSF and noise the
    error says so.
    """
    science, template, stars = made_pair(noise=(10.0, 10.0))
    nothing = np.zeros((SIDE, SIDE), np.float32)
    kernel = SpatialKernel.constant(GaussianPsf(1.3, 15).kernel_image(x=0, y=0), science.box)
    with pytest.raises(PsfUndefinedError, match="in no common place"):
        subtract(
            science,
            with_planes(template, variance=nothing),
            kernel,
            ChebyshevField.constant(0.0, science.box),
            convolved="template",
            stars=(stars.x, stars.y),
            algorithm=Zogy(),
        )
