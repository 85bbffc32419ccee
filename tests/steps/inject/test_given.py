"""Sources of a catalogue on an image: where they are at its time, how bright in its band, in its counts."""

from dataclasses import replace

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.table import Table
from astropy.wcs import WCS

from diapipe.catalogs.injection_catalog import injection_catalog
from diapipe.catalogs.injections import INJECTION
from diapipe.errors import InputError
from diapipe.images import Box, Exposure, GaussianPsf, MaskedImage, ObservationInfo, PhotoCalib
from diapipe.steps.inject import given_on, why_none

SCALE_ARCSEC, RA, DEC, MJD, SECONDS = 0.5, 150.0, 60.0, 61000.0, 60.0
BOX = Box(100, 500, 200, 600)
MIDDLE = (BOX.x_center, BOX.y_center)


def _wcs():
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.cunit = ["RA---TAN", "DEC--TAN"], ["deg", "deg"]
    wcs.wcs.crval, wcs.wcs.crpix = [RA, DEC], [MIDDLE[0] + 1, MIDDLE[1] + 1]
    wcs.wcs.cd = np.array([[-1.0, 0.0], [0.0, 1.0]]) * SCALE_ARCSEC / 3600
    return wcs


def _exposure(*, mjd=MJD, band="r", visit=7, **changes):
    info = ObservationInfo(visit=visit, band=band, mjd_midpoint=mjd, exposure_time_s=SECONDS)
    planes = MaskedImage.from_planes(np.full(BOX.shape, 3.0), variance=4.0, box=BOX)
    whole = Exposure(
        name="made", masked_image=planes, psf=GaussianPsf(2.0), wcs=_wcs(), info=info, photo_calib=PhotoCalib(2.5)
    )
    return replace(whole, **changes)


def _on(columns, exposure=None, **more):
    return given_on(exposure or _exposure(), injection_catalog(Table(columns), name="given"), **more)


def test_places_and_counts():
    """At its place on the sky; its flux over what a count is worth; the static light is the image's own, by the PSF."""
    found = _on({"ra": [RA, RA + 1.0], "dec": [DEC, DEC], "flux": [500.0, 500.0], "id": [11, 12]})
    assert found.colnames == [column.name for column in INJECTION]
    assert found["injectionId"].tolist() == [11]
    assert (found["x"][0], found["y"][0]) == pytest.approx(MIDDLE, abs=1e-6)
    assert found["flux"][0] == pytest.approx(200.0)
    assert found["kind"][0] == "hostless"
    # 3 counts on every pixel: Σ P I / Σ P² = 3 / Σ P², and Σ P² of a Gaussian is 1 / 4πσ²
    assert found["static_flux"][0] == pytest.approx(3.0 * 4 * np.pi * 4.0, rel=1e-3)
    assert found["surface_flux"][0] == 3.0
    half = _on({"ra": [RA], "dec": [DEC], "flux": [500.0]}, nanojansky_per_count=lambda x, y: np.full(len(x), 5.0))
    assert half["flux"][0] == pytest.approx(100.0)


def test_pixels_and_counts_need_no_wcs_and_no_calibration():
    """Of an image that nobody calibrated; fluxes in nJy are refused there, and positions on the sky."""
    bare = _exposure(wcs=None, photo_calib=None)
    found = _on({"x": [MIDDLE[0]], "y": [120.0], "flux": np.array([-70.0]) * _adu()}, bare)
    assert (found["flux"][0], found["is_faded"][0], found["y"][0]) == (70.0, True, 120.0)
    with pytest.raises(InputError, match="made has no calibration"):
        _on({"x": [MIDDLE[0]], "y": [120.0], "mag": [20.0]}, bare)
    with pytest.raises(InputError, match="made has no WCS"):
        _on({"ra": [RA], "dec": [DEC], "mag": [20.0]}, bare)


def _adu():
    from astropy import units

    return units.adu


def test_bands_and_visits_choose():
    """A row of another band or visit is not there; without either it is everywhere."""
    columns = {
        "ra": [RA] * 4,
        "dec": [DEC] * 4,
        "flux": [1.0] * 4,
        "band": ["r", "g", "", "r"],
        "visit": [-1, -1, 7, 8],
    }
    assert _on(columns)["injectionId"].tolist() == [1, 3]
    assert _on(columns, _exposure(band="g", visit=8))["injectionId"].tolist() == [2]


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"band": ["g"]}, "its rows are of other bands or visits than r and 7"),
        ({"visit": [8]}, "its rows are of other bands or visits than r and 7"),
        ({"mjd": [MJD + 1.0], "id": [3]}, "none of its light curves goes over MJD 61000.0"),
        ({"ra": [RA + 1.0]}, "and the image has x 200 to 599, y 100 to 499"),
        ({"ra": [RA + 180.0], "dec": [-DEC]}, "the WCS has no pixel for any of its positions"),
    ],
)
def test_why_nothing_is_on_an_image_is_known(columns, said):
    """The band or visit, the time, the place; in this order."""
    catalog = injection_catalog(Table({"ra": [RA], "dec": [DEC], "flux": [9.0]} | columns), name="given")
    assert len(given_on(_exposure(), catalog)) == 0
    assert said in why_none(_exposure(), catalog)


def test_light_curve_is_followed_and_ends():
    """Between two epochs in a straight line; outside of them the source is not there. Another source is none of it."""
    curve = {"ra": [RA] * 4, "dec": [DEC] * 4, "id": [5, 5, 5, 6], "flux": [300.0, 100.0, 500.0, 250.0]}
    curve["mjd"] = [MJD + 10.0, MJD, MJD + 20.0, MJD + 4.0]  # in any order
    expected = {0.0: 100.0, 4.0: 180.0, 10.0: 300.0, 17.5: 450.0, 20.0: 500.0}
    for days, flux in expected.items():
        found = _on(curve, _exposure(mjd=MJD + days))
        assert found["flux"][found["injectionId"] == 5].tolist() == pytest.approx([flux / 2.5])
        assert (6 in found["injectionId"]) == (days == 4.0)
    for days in (-0.01, 20.01):
        assert len(_on(curve, _exposure(mjd=MJD + days))) == 0
    with pytest.raises(InputError, match="nothing tells when made was taken"):
        _on(curve, _exposure(mjd=np.nan))


@pytest.mark.parametrize("hours", [-0.5, 0.0, 1.0])
def test_what_moves_is_where_it_then_is(hours):
    """East by its rate on the sky, not in right ascension; at declination 60 twice the angle. Trailed as it goes."""
    east, north = 60.0, 30.0
    columns = {"ra": [RA], "dec": [DEC], "mag": [20.0], "ra_rate": [east], "dec_rate": [north], "epoch": [MJD]}
    found = _on(columns, _exposure(mjd=MJD + hours / 24))
    start = SkyCoord(RA, DEC, unit="deg")
    there = start.directional_offset_by(
        np.degrees(np.arctan2(east, north)) * _deg(), hours * np.hypot(east, north) * _deg() / 3600
    )
    x, y = _wcs().world_to_pixel(there)
    # an angle of 67" has no curvature that one would see, and astropy's own great circle is the twin
    assert (found["x"][0], found["y"][0]) == (pytest.approx(float(x), abs=1e-4), pytest.approx(float(y), abs=1e-4))
    assert found["trail_length"][0] == pytest.approx(np.hypot(east, north) * SECONDS / 3600 / SCALE_ARCSEC, rel=1e-3)
    # east is towards smaller x here
    assert found["trail_angle"][0] == pytest.approx(np.degrees(np.arctan2(north, -east)), abs=0.1)
    assert found["kind"][0] == "trailed"


def _deg():
    from astropy import units

    return units.deg


def test_what_hardly_moves_is_a_point():
    """Less than a tenth of the FWHM during the exposure."""
    columns = {"ra": [RA], "dec": [DEC], "mag": [20.0], "ra_rate": [5.0], "dec_rate": [0.0], "epoch": [MJD]}
    found = _on(columns)
    assert (found["kind"][0], found["trail_length"][0]) == ("hostless", 0.0)
    with pytest.raises(InputError, match="nothing tells how long made was exposed"):
        _on(columns, _exposure(info=replace(_exposure().info, exposure_time_s=np.nan)))
