"""Transients are where galaxies have light; what crosses the sky is the same on all visits."""

import numpy as np
import pytest
from astropy.table import Table
from scipy import stats

from diapipe.images import Box, MaskedImage, MaskPlane
from diapipe.images.photo_calib import ZERO_POINT_NJY
from diapipe.steps.inject import Injection, choose_movers
from diapipe.steps.inject.hosts import on_light

NOISE, FWHM = 1.0, 4.0
BOX = Box(50, 150, 30, 130)


def _galaxy(*, x=80.0, y=100.0, ixx=9.0, iyy=4.0, flux=2e4):
    """An elliptical Gaussian galaxy, as the image has it."""
    rows, columns = np.mgrid[BOX.y0 : BOX.y1, BOX.x0 : BOX.x1]
    light = np.exp(-0.5 * ((columns - x) ** 2 / ixx + (rows - y) ** 2 / iyy))
    return flux * light / light.sum()


def _drawn(light, n=2000, *, mask=None):
    planes = MaskedImage.from_planes(light, variance=NOISE, box=BOX, mask=mask)
    return on_light(planes, x=np.full(n, 80.0), y=np.full(n, 100.0), fwhm=FWHM, rng=np.random.default_rng(1))


def test_places_follow_the_light():
    """Over 2,000 places mean and second moments are those of the light: errors σ/√n, and of a variance √(2/n) of it.

    A place lies anywhere within its pixel, which adds 1/12 to either moment; what is fainter than twice the noise is
    left out, 0.4% of this light.
    """
    x, y = _drawn(_galaxy())
    n = len(x)
    for values, middle, moment in ((x, 80.0, 9.0), (y, 100.0, 4.0)):
        assert abs(values.mean() - middle) < 4 * np.sqrt(moment / n)
        assert np.var(values) == pytest.approx(moment + 1 / 12, rel=4 * np.sqrt(2 / n) + 0.02)


def test_brighter_neighbours_and_spoilt_pixels_take_no_part():
    """A star beside the galaxy, ten times as bright, gets none of its transients; nor do masked pixels."""
    star = _galaxy(x=92.0, y=100.0, ixx=3.0, iyy=3.0, flux=2e5)
    mask = np.zeros(BOX.shape, np.int32)
    mask[100 - BOX.y0 :, 78 - BOX.x0] = int(MaskPlane.BAD)
    x, y = _drawn(_galaxy() + star, mask=mask)
    # of the star only what is as bright as the galaxy's own light 12 pixels off counts, 3e-4 of it
    assert np.count_nonzero(x > 90.0) <= 0.001 * len(x) + 4
    assert not np.any((x >= 77.5) & (x < 78.5) & (y >= 99.5))
    assert np.any(x < 77.5)


def test_galaxy_without_light_keeps_its_place():
    """Nothing above the noise: the transient is in the middle; off the image, too."""
    x, y = _drawn(np.zeros(BOX.shape), n=3)
    assert set(zip(x.tolist(), y.tolist(), strict=True)) == {(80.0, 100.0)}
    planes = MaskedImage.from_planes(_galaxy(), variance=NOISE, box=BOX)
    off = on_light(planes, x=np.array([500.0]), y=np.array([100.0]), fwhm=FWHM, rng=np.random.default_rng(1))
    assert (off[0][0], off[1][0]) == (500.0, 100.0)


def _visits(n=40):
    """Detectors of 0.1 degrees at declination 50, a day apart, of depth 24.5."""
    half = 0.05
    ra = 10.0 + half / np.cos(np.radians(50.0)) * np.array([-1, 1, 1, -1])
    dec = 50.0 + half * np.array([-1, -1, 1, 1])
    columns = {"raCorners": np.tile(ra, (n, 1)), "decCorners": np.tile(dec, (n, 1)), "mjd": 61000.0 + np.arange(n)}
    columns |= {"psfFwhm": np.full(n, 4.0), "pixelScale": np.full(n, 0.2), "magLim": np.full(n, 24.5)}
    return Table(columns)


def test_movers_are_as_many_as_wanted_and_begin_on_detectors():
    """A Poisson number of the share of the area; at their epochs on the detector; even in angle, S/N and rate."""
    options = Injection(moving=0.5, area_fwhm2=2000.0)
    found = choose_movers(_visits(), options=options, rng=np.random.default_rng(3))
    expected = 40 * 0.5 * (0.1 * 3600) ** 2 / (2000.0 * 0.8**2)
    assert abs(len(found) - expected) < 4 * np.sqrt(expected)
    east = (np.asarray(found["ra"]) - 10.0) * np.cos(np.radians(50.0))
    # sides of great circles between corners: flat to 2e-4 of a degree here
    assert np.abs(east).max() < 0.0502
    assert np.abs(np.asarray(found["dec"]) - 50.0).max() < 0.0502
    assert stats.kstest(np.asarray(found["dec"]) - 50.0, stats.uniform(-0.05, 0.1).cdf).pvalue > 0.001
    rate = np.hypot(found["ra_rate"], found["dec_rate"])
    assert stats.kstest(rate, stats.uniform(0.0, options.max_rate_arcsec_h).cdf).pvalue > 0.001
    snr = 5.0 * np.asarray(found["flux"]) / (ZERO_POINT_NJY * 10 ** (-0.4 * 24.5))
    even = np.log(snr / options.min_snr) / np.log(options.max_snr / options.min_snr)
    assert stats.kstest(even, "uniform").pvalue > 0.001
    assert set(found["epoch"]) <= set(_visits()["mjd"])
    assert len(set(found["injectionId"])) == len(found)


def test_no_movers_where_none_are_wanted_or_nothing_is_known():
    """A share of 0; visits without a depth."""
    assert len(choose_movers(_visits(), options=Injection(moving=0.0), rng=np.random.default_rng(1))) == 0
    unknown = _visits()
    unknown["magLim"] = np.nan
    assert len(choose_movers(unknown, options=Injection(moving=1.0), rng=np.random.default_rng(1))) == 0
