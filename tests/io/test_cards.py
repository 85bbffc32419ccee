"""What header cards mean."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits

from diapipe.io import cards


@pytest.mark.parametrize(
    ("header", "gain"),
    [
        ({"GAIN": 1.5}, 1.5),
        ({"GAIN": "1.5"}, 1.5),
        ({"GAIN": 0.0, "EGAIN": 2.0}, 2.0),
        ({"GAINA": 4.0, "GAINB": 4.4}, 4.2),
        ({"GAIN": "high"}, None),
        ({"GAIN": -1.0}, None),
        ({}, None),
    ],
)
def test_gain(header: dict[str, object], gain: float | None) -> None:
    assert cards.gain(header) == pytest.approx(gain)


@pytest.mark.parametrize(
    ("name", "band"),
    [
        ("i DECam SDSS c0003 7835.0 1470.0", "i"),
        ("HSC-i", "i"),
        ("HSC-I", "i"),
        ("i.MP9702", "i"),
        ("r_57", "r"),
        ("ZTF_g", "g"),
        ("I", "I"),
        ("F814W", "F814W"),
        ("", ""),
    ],
)
def test_band(name: str, band: str) -> None:
    assert cards.band({"FILTER": name}) == band


def test_empty_filter_wheel() -> None:
    """With two wheels, the one that is not clear counts."""
    assert cards.band({"FILTER1": "CLEAR", "FILTER2": "V"}) == "V"


@pytest.mark.parametrize(
    ("header", "utc"),
    [
        ({"MJD-OBS": 57000.0, "EXPTIME": 86.4}, 57000.0005),
        ({"MJD-MID": 57000.25, "MJD-OBS": 57000.0, "EXPTIME": 100}, 57000.25),
        ({"DATE-OBS": "2014-12-09T12:00:00.0", "EXPTIME": 172.8}, 57000.501),
        ({"DATE-OBS": "2014-12-09", "UT": "06:00:00"}, 57000.25),
        ({"DATE-OBS": "2014-12-09"}, np.nan),
        ({"DATE-OBS": "yesterday"}, np.nan),
        ({}, np.nan),
    ],
)
def test_time_of_mid_exposure(header: dict[str, object], utc: float) -> None:
    """Beginning plus half the exposure, or the middle itself; UTC was 35 s behind TAI then."""
    np.testing.assert_allclose(cards.mjd_midpoint(header), utc + 35 / 86400, rtol=0, atol=1e-9)


@pytest.mark.parametrize(("scale", "offset"), [("TAI", 0.0), ("TT", -32.184), ("UTC", 35.0)])
def test_time_scales(scale: str, offset: float) -> None:
    got = cards.mjd_midpoint({"MJD-MID": 57000.0, "TIMESYS": scale})
    assert got == pytest.approx(57000.0 + offset / 86400, abs=1e-9)


def test_lsst_average_date() -> None:
    """DATE-AVG is the middle, in the scale that TIMESYS names."""
    header = {"DATE-AVG": "2014-12-09T12:00:00.000000000", "TIMESYS": "TAI", "EXPTIME": 30.0, "MJD": 1.0}
    assert cards.mjd_midpoint(header) == pytest.approx(57000.5, abs=1e-9)


@pytest.mark.parametrize(
    ("header", "mean"),
    [
        ({"MAGZP": 31.4}, 0.99995),
        ({"BUNIT": "nJy", "MAGZP": 25.0}, 1.0),
        ({"BUNIT": "uJy"}, 1000.0),
        ({"FLUXMAG0": 3.63078e12}, 1.0),
        ({"FLUXMAG0": 0.0}, None),
        ({"BUNIT": "adu"}, None),
    ],
)
def test_photometric_calibration(header: dict[str, object], mean: float | None) -> None:
    calib = cards.photo_calib(header)
    assert (calib is None) == (mean is None)
    if calib is not None:
        assert calib.mean == pytest.approx(mean, rel=1e-4)


def test_metadata_keeps_what_has_no_place() -> None:
    """Structure, WCS and bit numbers are not metadata; scalars are."""
    header = fits.Header(
        {"NAXIS": 2, "CRVAL1": 1.0, "A_2_0": 0.1, "MP_BAD": 0, "OBJECT": "M 31", "DARK": True, "AIRMASS": 1.1}
    )
    header["HISTORY"] = "made"
    header["EMPTY"] = None
    assert cards.metadata(header) == {"OBJECT": "M 31", "DARK": True, "AIRMASS": 1.1}
