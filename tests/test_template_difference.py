"""From coadds of two tracts to a difference: clean on both sides of the border and on it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from diapipe.flow import difference_pair
from diapipe.images import UNUSABLE_DIFFERENCE, Exposure, MaskedImage, MaskPlane, PhotoCalib
from diapipe.images.sky import sky_of
from diapipe.steps.subtract.masks import joined
from diapipe.steps.template import template_for
from tract_scenes import Scene, light, observed, patches_of, stacked, visits_of

SCENE = Scene(shape=(400, 420))
SIGMA, NOISE = 2.0, 8.0


def field_of_stars(rng, n=160):
    """Anywhere on the science exposure and around it, many faint ones and few bright."""
    x, y = rng.uniform(-30, 450, n), rng.uniform(-30, 430, n)
    ra, dec = sky_of(SCENE.wcs, x, y)
    return ra, dec, 10 ** rng.uniform(3.2, 5.3, n)


def coadds_of(case, stars, rng):
    """Of the same four visits, or of the two tracts' own."""
    if case == "shared":
        visits = visits_of(SCENE, rng, stars=stars)
        return [stacked(tract, visits, numbers=(1, 2, 3, 4)) for tract in SCENE.tracts]
    visits = [observed(tract.wcs, stars, tract.box, sigma=1.6, noise=5.0, rng=rng) for tract in SCENE.tracts]
    return [replace(visit, photo_calib=PhotoCalib(1.0)) for visit in visits]


def believed(sources):
    """Sources that noise makes once in 10,000 fields (the default threshold: in 200), beside the frame none."""
    height, width = SCENE.shape
    x, y = (np.asarray(sources[name], dtype=float) for name in ("x", "y"))
    inside = (x > 20) & (x < width - 20) & (y > 20) & (y < height - 20)
    return inside & (np.abs(np.asarray(sources["snr"])) > 5.8)


@pytest.mark.parametrize("case", ["shared", pytest.param("independent", marks=pytest.mark.slow)])
def test_a_difference_across_a_tract_border_is_clean(case, rng):
    """No source is believed, and the pixels scatter as they claim: west, in both tracts, and east.

    A region has 50,000 pixels, so χ² is known to 0.6%, five times that allowed; under stars there are 2000 pixels and
    the match adds its error: 3%, and again five times that.
    """
    stars = field_of_stars(rng)
    patches = [
        patch
        for tract, coadd in zip(SCENE.tracts, coadds_of(case, stars, rng), strict=True)
        for patch in patches_of(tract, coadd)
    ]
    science = observed(SCENE.wcs, stars, SCENE.science().box, sigma=SIGMA, noise=NOISE, rng=rng)
    template = template_for(science, patches)
    result = difference_pair(science, template)
    assert result.aligned.how == "identity"
    assert not believed(result.dia_sources).any()
    pixels = result.difference.exposure.masked_image
    z2 = pixels.image**2 / pixels.variance
    west, east = SCENE.over(science)
    bright = light(SCENE.wcs, stars, science.box, sigma=SIGMA) > 5 * NOISE
    for region in (west & ~east, west & east, east & ~west):
        inside = region & pixels.usable(UNUSABLE_DIFFERENCE)
        assert inside.sum() > 45_000
        assert abs(z2[inside].mean() - 1) < 0.03
        assert (inside & bright).sum() > 1500
        assert abs(z2[inside & bright].mean() - 1) < 0.16


def test_what_the_template_knows_is_told_in_the_difference():
    """HIGH_VARIANCE keeps its name; what has no data is NO_DATA_TEMPLATE."""
    science, template = np.zeros((2, 20, 20), np.int32)
    template[5, 5] = int(MaskPlane.HIGH_VARIANCE)
    template[9, 9] = int(MaskPlane.NO_DATA | MaskPlane.HIGH_VARIANCE)
    mask = joined(science, template, border=2)
    assert mask[5, 5] == MaskPlane.HIGH_VARIANCE
    assert mask[9, 9] == MaskPlane.NO_DATA_TEMPLATE | MaskPlane.HIGH_VARIANCE
    assert mask[7, 7] == 0


def tile(tract, stars, rng, *, sky, calib):
    """An image as a survey publishes it: sky, counts and zero point of its own; no variance, mask or PSF."""
    seen = observed(tract.wcs, stars, tract.box, sigma=1.6, noise=5.0, rng=rng).masked_image.image + sky
    planes = MaskedImage.from_planes(seen / calib, box=tract.box)
    return Exposure(
        name=f"tile {tract.id}",
        masked_image=planes,
        has_variance=False,
        has_mask=False,
        wcs=tract.wcs,
        photo_calib=PhotoCalib(calib),
    )


def test_tiles_of_any_sky_and_scale_make_one_registered_template(rng):
    """The science WCS is off by 0.38 px: tiles are blended again through it, and χ² is 1 on both sides and between."""
    stars = field_of_stars(rng)
    tiles = [
        tile(tract, stars, rng, sky=sky, calib=calib)
        for tract, sky, calib in zip(SCENE.tracts, (300.0, 500.0), (1.0, 2.0), strict=True)
    ]
    science = observed(SCENE.wcs, stars, SCENE.science().box, sigma=SIGMA, noise=NOISE, rng=rng)
    wcs = science.wcs.deepcopy()
    wcs.wcs.crpix += [0.31, -0.22]
    result = difference_pair(replace(science, wcs=wcs), tiles)
    assert result.aligned.registration_applied
    assert result.aligned.how == "identity"
    assert np.hypot(*(np.array(result.registration.shift_px) - [0.31, -0.22])) < 0.03
    pixels = result.difference.exposure.masked_image
    z2 = pixels.image**2 / pixels.variance
    west, east = SCENE.over(science)
    for region in (west & ~east, west & east, east & ~west):
        assert abs(z2[region & pixels.usable(UNUSABLE_DIFFERENCE)].mean() - 1) < 0.03
    assert not believed(result.dia_sources).any()
