"""Rows of the table that are no changes of the sky: empty places, glints of a satellite, sources with bad flags."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from diapipe.catalogs.dia_sources import BAD_FLAGS, without_flagged
from diapipe.catalogs.ids import parts_of
from diapipe.errors import UsageError
from diapipe.images import Box, ChebyshevField, Difference, Exposure, GaussianPsf, MaskedImage, MaskPlane, SpatialKernel
from diapipe.steps.detect import SkySources, detect, sky_sources
from diapipe.steps.measure import Glints, Measure, measure, with_sky_sources

SIDE, NOISE, SIGMA = 900, 10.0, 1.7
UNIT = NOISE * np.sqrt(4 * np.pi) * SIGMA
"""Flux of a source of one sigma."""


def images(rng, *sources, mask=None):
    """A difference with sources (x, y, S/N) and the science image under it."""
    pixels, psf = rng.normal(0, NOISE, (SIDE, SIDE)), GaussianPsf(SIGMA, 31)
    for x, y, snr in sources:
        at = Box.around(x=x, y=y, half=15)
        pixels[at.y0 : at.y1, at.x0 : at.x1] += snr * UNIT * psf.image_at(x=x, y=y)
    exposure = Exposure(
        name="image", masked_image=MaskedImage.from_planes(pixels, variance=NOISE**2, mask=mask), psf=psf
    )
    box = exposure.box
    unit = np.zeros((3, 3))
    unit[1, 1] = 1.0
    static = MaskedImage.from_planes(rng.normal(0, NOISE, (SIDE, SIDE)), variance=NOISE**2)
    difference = Difference(
        exposure=exposure,
        kernel=SpatialKernel.constant(unit, box),
        background=ChebyshevField.constant(0.0, box),
        convolved="template",
        matched_template=static,
    )
    return difference, exposure


def at_places(sky, found, difference, science):
    """The rows of empty places."""
    return measure(difference, replace(found, footprints=sky), science=science, options=Measure().at_given_places())


def test_fluxes_of_sky_sources_are_noise(rng):
    """400 empty places: pulls of the three PSF fluxes have mean 0 within 4/sqrt(400) and width 1 within 0.1.

    The scatter of a width is 1/sqrt(800) = 0.035.
    """
    difference, science = images(rng, (300.0, 300.0, 40.0))
    found = detect(difference.exposure)
    table = measure(difference, found, science=science)
    sky = sky_sources(found, options=SkySources(n_sources=400, radius_px=6), rng=rng)
    whole = with_sky_sources(table, at_places(sky, found, difference, science), info=science.info)
    rows = whole[whole["sky_source"]]
    assert len(rows) == 400
    for name in ("psfFlux", "scienceFlux", "templateFlux"):
        pulls = np.asarray(rows[name] / rows[f"{name}Err"], np.float64)
        assert abs(pulls.mean()) < 0.2, name
        assert 0.9 < pulls.std() < 1.1, name
    aperture = np.asarray(rows["apFlux"] / rows["apFluxErr"], np.float64)
    assert 0.9 < np.nanstd(aperture) < 1.1
    assert not rows["isDipole"].any()


def test_sky_sources_come_after_the_others_and_change_none(rng):
    """Same columns and units, the rows before as they were, places as given, identifiers that go on."""
    difference, science = images(rng, (300.0, 300.0, 40.0), (500.0, 200.0, -30.0))
    found = detect(difference.exposure)
    table = measure(difference, found, science=science)
    sky = sky_sources(found, options=SkySources(n_sources=20), rng=rng)
    whole = with_sky_sources(table, at_places(sky, found, difference, science), info=science.info)
    assert whole.colnames == table.colnames
    assert [whole[c].unit for c in whole.colnames] == [table[c].unit for c in table.colnames]
    assert len(whole) == len(table) + 20
    for name in ("x", "psfFlux", "diaSourceId", "dp_bad"):
        np.testing.assert_array_equal(whole[name][: len(table)], table[name])
    assert whole["sky_source"].tolist() == [False] * len(table) + [True] * 20
    np.testing.assert_array_equal(whole["x"][len(table) :], sky.peaks.x)
    assert parts_of(np.asarray(whole["diaSourceId"])).counter.tolist() == list(range(1, len(whole) + 1))


def test_glints_in_a_row_are_flagged(rng):
    """Six flashes 70 px apart and three transients elsewhere: the six, and none of the three; by option none at all."""
    row = [(150.0 + 60 * k, 200.0 + 36 * k, 20.0 + 5 * (k % 3)) for k in range(6)]
    others = [(700.0, 100.0, 25.0), (100.0, 700.0, 25.0), (640.0, 700.0, 30.0)]
    difference, science = images(rng, *row, *others, (180.0, 500.0, -30.0))
    found = detect(difference.exposure)
    table = measure(difference, found, science=science)
    glint = np.asarray(table["glint_trail"])
    in_row = [np.hypot(table["x"] - x, table["y"] - y).argmin() for x, y, _ in row]
    assert glint[in_row].all()
    assert glint.sum() == 6
    strict = Measure(glints=Glints(least_sources=7))
    assert not measure(difference, found, science=science, options=strict)["glint_trail"].any()


def test_flags_of_what_cannot_be_physical(rng):
    """Interpolated through and through, and the template's saturation, each have a flag of their own."""
    mask = np.zeros((SIDE, SIDE), np.int32)
    mask[298:303, 298:303] = MaskPlane.INTRP
    mask[500, 200] = MaskPlane.INTRP
    mask[100, 600] = MaskPlane.SAT_TEMPLATE
    places = [(300.0, 300.0, 30.0), (200.0, 500.0, 30.0), (600.0, 100.0, 60.0)]
    difference, science = images(rng, *places, mask=mask)
    table = measure(difference, detect(difference.exposure), science=science)
    at = [np.hypot(table["x"] - x, table["y"] - y).argmin() for x, y, _ in places]
    assert table["pixelFlags_interpolatedCenterAll"][at].tolist() == [True, False, False]
    assert table["pixelFlags_interpolatedCenter"][at].tolist() == [True, True, False]
    assert table["pixelFlags_saturated_templateCenter"][at].tolist() == [False, False, True]


def test_sources_with_bad_flags_are_dropped_on_request(rng):
    """Off the image or on a bad centre: gone, the others stay; LSST's names serve too, unknown ones are refused."""
    mask = np.zeros((SIDE, SIDE), np.int32)
    mask[300, 300] = MaskPlane.BAD
    difference, science = images(rng, (300.0, 300.0, 40.0), (500.0, 200.0, 30.0), mask=mask)
    table = measure(difference, detect(difference.exposure), science=science)
    table["pixelFlags_offimage"] = np.round(table["x"]) == -1
    assert len(without_flagged(table)) == len(table) - 1
    assert not without_flagged(table)["pixelFlags_badCenter"].any()
    assert len(without_flagged(table, ["base_PixelFlags_flag_badCenter"])) == len(table) - 1
    assert len(without_flagged(table, ["base_PixelFlags_flag_sat_templateCenter"])) == len(table)
    table["pixelFlags_offimage"] = np.ones(len(table), bool)
    assert len(without_flagged(table)) == 0
    assert set(BAD_FLAGS) <= set(table.colnames)
    with pytest.raises(UsageError, match="no flag 'pixelFlags_spikeCenter'; there are centroid_flag"):
        without_flagged(table, ["base_PixelFlags_flag_spikeCenter"])


def test_an_aperture_in_pixels(rng):
    """ApFlux is the flux of a Gaussian within the radius, 1 - exp(-r²/2s²): 0.29 of it in 1.4 px, all of it in 12."""
    difference, science = images(rng, (300.0, 300.0, 400.0))
    found = detect(difference.exposure)
    for radius in (1.4, 12.0):
        row = measure(difference, found, science=science, options=Measure(aperture_px=radius))[0]
        expected = 400.0 * UNIT * (1.0 - np.exp(-0.5 * radius**2 / (SIGMA**2 + 1.0 / 12.0)))
        assert abs(row["apFlux"] - expected) < 4.0 * row["apFluxErr"] + 0.005 * expected
        # sqrt(Σ area²), which is less than sqrt(Σ area) by the pixels that the circle cuts
        assert 0.8 < row["apFluxErr"] / (NOISE * np.sqrt(np.pi) * radius) < 1.0
