"""Refraction against two other formulas, and the triangle of pole, zenith and star."""

from __future__ import annotations

import erfa
import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import AltAz, EarthLocation, SkyCoord
from astropy.time import Time
from astropy.utils import iers

from diapipe.numerics import refraction

AIR = {"temperature_c": 10.0, "pressure_hpa": 740.0, "relative_humidity": 0.3}


def filippenko(wavelength_nm, *, temperature_c, pressure_hpa, relative_humidity):
    """Refractivity by Filippenko (1982, PASP 94, 715), equations 1 to 3; pressures in mm of mercury."""
    wave2 = (1e3 / wavelength_nm) ** 2
    p, t = pressure_hpa / 1.33322, temperature_c
    vapour = relative_humidity * 6.1078 * 10 ** (7.5 * t / (237.3 + t)) / 1.33322
    sea = 64.328 + 29498.1 / (146 - wave2) + 255.4 / (41 - wave2)
    dry = sea * p * (1 + (1.049 - 0.0157 * t) * 1e-6 * p) / (720.883 * (1 + 0.003661 * t))
    return 1e-6 * (dry - (0.0624 - 0.000680 * wave2) / (1 + 0.003661 * t) * vapour)


def test_the_index_is_filippenkos():
    """To 0.1% of it, and its change over a band, which is what matters, to 1%."""
    waves = np.array([350.0, 480.0, 620.0, 750.0, 1000.0])
    found, other = refraction.refractivity(waves, **AIR), filippenko(waves, **AIR)
    np.testing.assert_allclose(found, other, rtol=1e-3)
    np.testing.assert_allclose(np.diff(found), np.diff(other), rtol=1e-2)


@pytest.mark.parametrize("zenith_distance", [0.0, 20.0, 45.0, 60.0, 70.0])
def test_refraction_is_that_of_erfa(zenith_distance):
    """A tan z + B tan³ z of SOFA, which holds to 0.05 arcsec at 70 degrees; colours to 2% of their difference."""
    waves = np.array([400.0, 550.0, 700.0])
    tangent = np.tan(np.radians(zenith_distance))
    expected = [
        np.degrees(a * tangent + b * tangent**3) * 3600
        for a, b in (erfa.refco(740.0, 10.0, 0.3, wave / 1e3) for wave in waves)
    ]
    found = refraction.refraction_arcsec(waves, zenith_distance_deg=zenith_distance, **AIR)
    np.testing.assert_allclose(found, expected, atol=0.1, rtol=1e-3)
    np.testing.assert_allclose(np.diff(found), np.diff(expected), rtol=0.02, atol=1e-12)


def test_blue_is_lifted_above_red_and_each_part_by_its_mean():
    """Against the mean over 1001 wavelengths, for a band of 150 nm around 480 nm in three parts, to 1e-5 arcsec."""
    band = {"effective_wavelength_nm": 480.0, "bandwidth_nm": 150.0, "n_subfilters": 3}
    lifts = refraction.subfilter_lifts_arcsec(**band, zenith_distance_deg=51.3, **AIR)
    at = [
        refraction.refraction_arcsec(w, zenith_distance_deg=51.3, **AIR)
        for w in (np.linspace(405, 455, 1001), np.linspace(455, 505, 1001), np.linspace(505, 555, 1001), 480.0)
    ]
    np.testing.assert_allclose(lifts.mean, [np.mean(part) - at[3] for part in at[:3]], atol=1e-5)
    np.testing.assert_allclose(lifts.span, [part[-1] - part[0] for part in at[:3]], rtol=1e-9)
    assert lifts.mean[0] > lifts.mean[1] > lifts.mean[2]
    assert 0.5 < lifts.mean[0] - lifts.mean[2] < 1.5


@pytest.mark.parametrize("hour", [-4.0, 0.01, 3.0])
@pytest.mark.parametrize("dec", [-70.0, 12.0])
def test_the_zenith_is_where_astropy_has_it(hour, dec):
    """Zenith distance to 0.02 degrees, its position angle to 0.2 where the star is not beside the zenith."""
    place = EarthLocation.from_geodetic(-70.7 * u.deg, -30.2 * u.deg, 2700 * u.m)
    when = Time("2015-06-01T03:00:00", location=place)
    with iers.conf.set_temp("auto_download", False):
        sidereal = when.sidereal_time("apparent").deg
        frame = AltAz(obstime=when, location=place)
        star = SkyCoord((sidereal - 15 * hour) * u.deg, dec * u.deg, frame="tete", obstime=when, location=place)
        zenith = SkyCoord(0 * u.deg, 90 * u.deg, frame=frame).transform_to(star.frame)
    z, angle = refraction.toward_zenith(hour_angle_deg=15 * hour, dec_deg=dec, latitude_deg=-30.2)
    assert abs(star.separation(zenith).deg - z) < 0.02
    off = (star.position_angle(zenith).deg - angle + 180) % 360 - 180
    assert abs(off) < 0.2 / np.sin(np.radians(z)) ** 2


def test_airmass_and_zenith_distance():
    """Secant; 1 is the zenith."""
    assert refraction.zenith_distance_of_airmass(1.0) == 0.0
    assert refraction.zenith_distance_of_airmass(2.0) == pytest.approx(60.0)
