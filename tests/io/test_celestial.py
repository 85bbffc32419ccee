"""WCS cards in and out: parent pixels, distortions by any name, full precision."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS, DistortionLookupTable

from diapipe.images import Box
from diapipe.io import celestial

BOX = Box(100, 164, -30, 50)
TAN = {
    "CTYPE1": "RA---TAN",
    "CTYPE2": "DEC--TAN",
    "CRVAL1": 318.373,
    "CRVAL2": -66.04,
    "CRPIX1": -581.25,
    "CRPIX2": 40.5,
}
TAN |= {"CD1_1": -4.3e-7, "CD1_2": 7.288e-5, "CD2_1": -7.285e-5, "CD2_2": -4.2e-7, "CUNIT1": "deg", "CUNIT2": "deg"}
PV = {"PV1_0": -2e-3, "PV1_1": 1.0096, "PV1_2": -3.8e-4, "PV1_4": -7.7e-3, "PV1_7": 1.3e-3}
PV |= {"PV2_0": 2.6e-4, "PV2_1": 1.006, "PV2_2": -2.9e-4, "PV2_4": -1e-3, "PV2_7": -6.3e-3}
SIP = {"A_ORDER": 2, "B_ORDER": 2, "A_2_0": 1e-5, "A_0_2": -2e-5, "B_1_1": 3e-5, "B_0_2": 4e-6}


def header(**cards: object) -> fits.Header:
    return fits.Header({**TAN, **cards})


def sky(wcs: WCS, box: Box) -> np.ndarray:
    y, x = np.mgrid[box.y0 : box.y1 : 9, box.x0 : box.x1 : 9]
    return np.array(wcs.all_pix2world(x, y, 0))


CASES = {
    "TAN": header(),
    "SIP": header(CTYPE1="RA---TAN-SIP", CTYPE2="DEC--TAN-SIP", **SIP),
    "TPV": header(CTYPE1="RA---TPV", CTYPE2="DEC--TPV", **PV),
    "SIN": header(CTYPE1="RA---SIN", CTYPE2="DEC--SIN"),
    "ZPN": header(CTYPE1="RA---ZPN", CTYPE2="DEC--ZPN", PV2_1=1.0, PV2_3=0.5),
    "swapped axes": header(CTYPE1="DEC--TAN", CTYPE2="RA---TAN", CRVAL1=-66.04, CRVAL2=318.373),
    "galactic": header(CTYPE1="GLON-TAN", CTYPE2="GLAT-TAN", CRVAL1=12.5, CRVAL2=-3.5),
}


@pytest.mark.parametrize("kind", CASES)
def test_cards_round_trip(kind: str) -> None:
    """Read, written for a box elsewhere in the parent, read again: the same sky to 1e-11 degrees (0.04 µas)."""
    local = celestial.read_wcs(CASES[kind], Box.from_shape(BOX.shape))
    assert local is not None
    parent = celestial.moved(local, x=7, y=-3)
    again = celestial.read_wcs(celestial.wcs_cards(parent, BOX), BOX)
    assert again is not None
    np.testing.assert_allclose(sky(again, BOX), sky(parent, BOX), rtol=0, atol=1e-11)


@pytest.mark.parametrize("kind", CASES)
def test_parent_pixels(kind: str) -> None:
    """The pixel that the file calls (1, 1) is 0-based parent (x0, y0)."""
    wcs = celestial.read_wcs(CASES[kind], BOX)
    assert wcs is not None
    direct = WCS(CASES[kind])
    np.testing.assert_allclose(
        wcs.all_pix2world(BOX.x0 + 5.0, BOX.y0 + 6.0, 0), direct.all_pix2world(6.0, 7.0, 1), rtol=0, atol=1e-11
    )


def test_scamp_polynomials_on_a_tan() -> None:
    """SCAMP writes its PV terms under the name TAN: TPV is meant."""
    meant, named = celestial.read_wcs(CASES["TPV"], BOX), celestial.read_wcs(header(**PV), BOX)
    assert meant is not None
    assert named is not None
    np.testing.assert_array_equal(sky(named, BOX), sky(meant, BOX))


def test_sip_without_its_suffix() -> None:
    """SIP coefficients under the name TAN count; the suffix without coefficients is a plain TAN."""
    meant, named = celestial.read_wcs(CASES["SIP"], BOX), celestial.read_wcs(header(**SIP), BOX)
    plain, suffixed = (
        celestial.read_wcs(header(), BOX),
        celestial.read_wcs(header(CTYPE1="RA---TAN-SIP", CTYPE2="DEC--TAN-SIP"), BOX),
    )
    assert meant is not None
    assert named is not None
    assert plain is not None
    assert suffixed is not None
    np.testing.assert_array_equal(sky(named, BOX), sky(meant, BOX))
    np.testing.assert_array_equal(sky(suffixed, BOX), sky(plain, BOX))


@pytest.mark.parametrize(
    "cards",
    [
        {},
        {"CRVAL1": 1.0},
        {"CTYPE1": "LINEAR", "CTYPE2": "LINEAR"},
        {**TAN, "CD1_1": 0.0, "CD1_2": 0.0},
        {**TAN, "CTYPE2": "RA---TAN"},
        {**TAN, "CUNIT1": "parsec per fortnight"},
        {**TAN, "CRVAL2": 400.0, "CTYPE1": "RA---XXX", "CTYPE2": "DEC--XXX"},
    ],
)
def test_no_valid_wcs_is_none(cards: dict[str, object]) -> None:
    """What makes no celestial WCS is None, without warning or crash."""
    assert celestial.read_wcs(fits.Header(cards), BOX) is None


def test_box_from_alternate_wcs() -> None:
    """LSST's place of the first pixel is understood; IRAF's LTV of a trimmed image is not taken for it."""
    cards = header(CTYPE1A="LINEAR", CRPIX1A=1, CRVAL1A=900, CRPIX2A=1, CRVAL2A=-5, CUNIT1A="PIXEL")
    assert celestial.box_of(cards, (10, 20)) == Box(-5, 5, 900, 920)
    assert celestial.box_of(header(LTV1=-1, LTV2=-1), (10, 20)) == Box(0, 10, 0, 20)


def test_table_distortions_are_written_as_sip() -> None:
    """A lookup table, as HST has it, is written as the polynomial fitted to it: to 0.02 px, what its kinks leave."""
    table = np.zeros((5, 5), np.float32) + np.linspace(-0.3, 0.3, 5, dtype=np.float32) ** 2
    wcs = WCS(header())
    wcs.cpdis1 = DistortionLookupTable(table, (1.0, 1.0), (-200.0, -200.0), (200.0, 200.0))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cards = celestial.wcs_cards(wcs, BOX)
    again = celestial.read_wcs(cards, BOX)
    assert again is not None
    scale = 7.3e-5
    assert np.abs(sky(again, BOX) - sky(wcs, BOX)).max() < 0.02 * scale
