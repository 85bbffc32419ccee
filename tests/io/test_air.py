"""What cards say of the air, in the units and under the names that they have."""

from __future__ import annotations

import math

import pytest
from astropy.io import fits

from diapipe.io import cards, read_exposure


def info_of(**values):
    return cards.info(fits.Header({key.replace("_", "-"): value for key, value in values.items()}))


@pytest.mark.parametrize(
    ("values", "field", "expected"),
    [
        ({"AIRMASS": 1.65}, "airmass", 1.65),
        ({"AIRMASS": -999.0}, "airmass", math.nan),
        ({"AIRMASS": 0.0}, "airmass", math.nan),
        ({"PARANGLE": -33.0}, "parallactic_angle_deg", -33.0),
        ({"AIRTEMP": -0.7}, "temperature_c", -0.7),
        ({"AIRTEMP": 281.0}, "temperature_c", math.nan),
        ({"AIRPRESS": 62160.0}, "pressure_hpa", 621.6),
        ({"AIRPRESS": 742.0}, "pressure_hpa", 742.0),
        ({"AIRPRESS": 0.0}, "pressure_hpa", math.nan),
        ({"HUMIDITY": 42.0}, "relative_humidity", 0.42),
        ({"HUMIDITY": 0.42}, "relative_humidity", 0.42),
        ({"HUMIDITY": -1.0}, "relative_humidity", math.nan),
    ],
)
def test_cards_are_taken_in_their_units_and_nonsense_is_unknown(values, field, expected):
    assert getattr(info_of(**values), field) == pytest.approx(expected, nan_ok=True)


def test_a_star_on_the_meridian_has_the_zenith_north_or_south_of_it():
    """Position angle 0 where the star is south of the zenith, 180 where it is north; the airmass with it."""
    place = {"AVG_ERA": 100.0, "OBS_LONG": -70.0, "OBS_LAT": -30.0, "BORE_RA": 30.0}
    south, north = info_of(**place, BORE_DEC=-60.0), info_of(**place, BORE_DEC=0.0)
    assert south.parallactic_angle_deg == pytest.approx(0.0, abs=1e-9)
    assert abs(north.parallactic_angle_deg) == pytest.approx(180.0)
    assert south.airmass == pytest.approx(1 / math.cos(math.radians(30.0)))


def test_without_a_place_the_zenith_is_unknown():
    info = info_of(AVG_ERA=100.0, OBS_LONG=-70.0, BORE_RA=30.0, BORE_DEC=0.0)
    assert math.isnan(info.parallactic_angle_deg)
    assert math.isnan(info.airmass)


@pytest.mark.realdata
def test_a_real_exposure_says_where_its_zenith_was(shared_data):
    """HSC at 65.0 degrees of altitude, azimuth 220.5: its airmass card, and the parallactic angle by the sine rule."""
    info = read_exposure(shared_data / "lsst_afw_format" / "obs_base__calexp.fits").info
    assert info.airmass == pytest.approx(1.10305, abs=1e-5)
    assert (info.temperature_c, info.pressure_hpa, info.relative_humidity) == pytest.approx((-0.7, 621.6, 0.42))
    sine = -math.sin(math.radians(220.54)) * math.cos(math.radians(19.8256)) / math.cos(math.radians(0.25))
    assert math.sin(math.radians(info.parallactic_angle_deg)) == pytest.approx(sine, abs=0.01)
