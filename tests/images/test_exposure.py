"""Exposure: what a cut keeps."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from astropy.wcs import WCS

from diapipe.errors import BoundsError
from diapipe.images import (
    Box,
    ChebyshevField,
    Difference,
    Exposure,
    GaussianPsf,
    MaskedImage,
    ObservationInfo,
    PhotoCalib,
    SpatialKernel,
)


@pytest.fixture
def exposure(rng) -> Exposure:
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval = [150.0, 2.0]
    wcs.wcs.crpix = [51.0, 41.0]
    wcs.wcs.cdelt = [-0.2 / 3600, 0.2 / 3600]
    return Exposure(
        name="night1.fits",
        masked_image=MaskedImage.from_planes(rng.normal(size=(60, 80)), box=Box(1000, 1060, 2000, 2080)),
        wcs=wcs,
        psf=GaussianPsf(2.0),
        photo_calib=PhotoCalib(3.0),
        info=ObservationInfo(visit=7, band="r"),
    )


def test_a_cut_changes_the_pixels_and_nothing_else(exposure):
    """The WCS maps parent pixels, so a star has one place on the sky in the image and in its cut-outs."""
    part = exposure[Box(1010, 1020, 2030, 2050)]
    assert part.box == Box(1010, 1020, 2030, 2050)
    for field in dataclasses.fields(Exposure):
        if field.name != "masked_image":
            assert getattr(part, field.name) is getattr(exposure, field.name)


def test_a_cut_copies_no_pixels(exposure):
    assert np.shares_memory(exposure[Box(1010, 1020, 2030, 2050)].masked_image.image, exposure.masked_image.image)


def test_a_cut_outside_is_refused(exposure):
    with pytest.raises(BoundsError, match=r"\[0:10, 0:10\] reaches outside image \[1000:1060, 2000:2080\]"):
        exposure[Box(0, 10, 0, 10)]


def test_the_unknown_is_said_to_be_unknown():
    """An image that brings nothing but pixels has no WCS, PSF or calibration made up for it."""
    bare = Exposure(name="a.fits", masked_image=MaskedImage.from_planes(np.zeros((2, 2))))
    assert bare.wcs is bare.psf is bare.photo_calib is bare.noise_correlation is None
    assert bare.unit == "adu"
    assert np.isnan(bare.info.mjd_midpoint)
    assert bare.info.gain is None


@pytest.mark.parametrize("with_template", [True, False])
def test_a_difference_is_cut_as_its_parts_are(exposure, with_template):
    """Pixels and matched template are cut; kernel and background are functions of parent coordinates and stay."""
    whole = Difference(
        exposure=exposure,
        kernel=SpatialKernel.constant(np.ones((3, 3)) / 9, exposure.box),
        background=ChebyshevField.constant(1.0, exposure.box),
        convolved="template",
        matched_template=exposure.masked_image if with_template else None,
    )
    place = Box(1010, 1020, 2030, 2050)
    part = whole[place]
    assert part.box == part.exposure.box == place
    assert np.shares_memory(part.exposure.masked_image.image, exposure.masked_image.image)
    assert (part.matched_template is not None) == with_template
    if part.matched_template is not None:
        assert part.matched_template.box == place
    assert part.kernel is whole.kernel
    assert part.background is whole.background
    with pytest.raises(BoundsError):
        whole[Box(0, 10, 0, 10)]
