"""WCS cards to `astropy.wcs.WCS` in parent pixels and back."""

from __future__ import annotations

import re
import warnings
from contextlib import suppress

import numpy as np
from astropy.io import fits
from astropy.utils.exceptions import AstropyWarning
from astropy.wcs import WCS

from diapipe.images.box import Box
from diapipe.images.tan_sip import fit_sip

_DISTORTION_TERMS = 5
"""PV1_n from this n on, or any PV2_n, cannot belong to a plain TAN: SCAMP's polynomial is meant."""


def box_of(header: fits.Header, shape: tuple[int, ...]) -> Box:
    """Where the pixels lie in the parent: LSST's alternate WCS "A" (LINEAR, pixels) holds the first pixel's place."""
    linear = (
        str(header.get("CTYPE1A", "")).strip() == "LINEAR" and str(header.get("CUNIT1A", "pixel")).lower() == "pixel"
    )
    if not linear:
        return Box.from_shape(shape)
    x0, y0 = (
        _number(header, f"CRVAL{axis}A", default=0.0) + 1 - _number(header, f"CRPIX{axis}A", default=1.0)
        for axis in (1, 2)
    )
    return Box.from_shape(shape, x0=round(x0), y0=round(y0))


def _number(header: fits.Header, key: str, *, default: float) -> float:
    """A card's value; ValueError if it is no finite number."""
    value = header.get(key, default)
    with suppress(TypeError, ValueError):
        if np.isfinite(number := float(value)):
            return number
    raise ValueError(f"the card {key} is {value!r}, a number is needed")


def read_wcs(header: fits.Header, box: Box, hdus: fits.HDUList | None = None) -> WCS | None:
    """WCS of an image whose pixels are ``box`` of its parent, for 0-based parent pixels.

    Parameters
    ----------
    header
        Cards of the image.
    box
        Where the image lies in its parent.
    hdus
        The whole file, where lookup-table distortions may stand.

    Returns
    -------
    WCS or None
        None if the cards make no celestial WCS that maps the middle of the image to a finite place.
    """
    cards = _repaired(header)
    if "CTYPE1" not in cards or "CTYPE2" not in cards:
        return None
    tables = hdus if any(name in cards for name in ("CPDIS1", "D2IMDIS1", "CPERR1")) else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstropyWarning)
        try:
            wcs = WCS(cards, fobj=tables, naxis=2)
            middle = wcs.all_pix2world([[0.5 * (box.width - 1), 0.5 * (box.height - 1)]], 0)
        except Exception:  # wcslib's errors share no base class; what it cannot read is no WCS
            return None
    if not wcs.has_celestial or not np.isfinite(middle).all():
        return None
    return moved(wcs, x=box.x0, y=box.y0)


def moved(wcs: WCS, *, x: float, y: float) -> WCS:
    """The WCS of the same sky when every pixel coordinate grows by ``x`` and ``y``."""
    result = wcs.deepcopy()
    result.wcs.crpix = np.asarray(wcs.wcs.crpix) + np.array([x, y])
    if wcs.sip is not None:
        result.sip = type(wcs.sip)(
            wcs.sip.a, wcs.sip.b, wcs.sip.ap, wcs.sip.bp, np.asarray(wcs.sip.crpix) + np.array([x, y])
        )
    result.pixel_shape = None
    result.wcs.set()
    return result


def _repaired(header: fits.Header) -> fits.Header:
    """A copy whose CTYPE names the distortion that its other cards hold, and whose celestial cards are not doubled."""
    cards = header.copy()
    types = [str(cards.get(f"CTYPE{axis}", "")).strip() for axis in (1, 2)]
    if all(kind.endswith("-TAN") for kind in types):
        suffix = ""
        if "A_ORDER" in cards and "B_ORDER" in cards:
            suffix = "-TAN-SIP"
        elif _has_scamp_terms(cards):
            suffix = "-TPV"
        if suffix:
            for axis, kind in enumerate(types, start=1):
                cards[f"CTYPE{axis}"] = kind[:-4] + suffix
    if any(kind.endswith("-SIP") for kind in types) and "A_ORDER" not in cards:
        for axis, kind in enumerate(types, start=1):
            cards[f"CTYPE{axis}"] = kind.removesuffix("-SIP")
    return cards


def _has_scamp_terms(header: fits.Header) -> bool:
    for key in header:
        found = re.fullmatch(r"PV([12])_(\d+)", key)
        if found and (found.group(1) == "2" or int(found.group(2)) >= _DISTORTION_TERMS):
            return True
    return False


def wcs_cards(wcs: WCS, box: Box) -> fits.Header:
    """Cards of the WCS for an image that covers ``box``: local pixels, full precision, matrix as CD.

    Distortions that are tables are written as the SIP polynomial fitted to them.
    """
    has_tables = any(table is not None for table in (wcs.cpdis1, wcs.cpdis2, wcs.det2im1, wcs.det2im2))
    plain = fit_sip(lambda x, y: wcs.all_pix2world(x, y, 0), box).wcs if has_tables else wcs
    local = moved(plain, x=-box.x0, y=-box.y0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstropyWarning)
        found = local.to_header(relax=True)
    cards = fits.Header([card for card in found.cards if _is_transform(card.keyword)])
    cd = np.asarray(local.pixel_scale_matrix)
    for i in (0, 1):
        cards[f"CRPIX{i + 1}"] = float(local.wcs.crpix[i])
        cards[f"CRVAL{i + 1}"] = float(local.wcs.crval[i])
        cards[f"CDELT{i + 1}"] = 1.0
        for j in (0, 1):
            cards.remove(f"PC{i + 1}_{j + 1}", ignore_missing=True)
            cards[f"CD{i + 1}_{j + 1}"] = float(cd[i, j])
        cards.remove(f"CDELT{i + 1}")
    for i, m, value in local.wcs.get_pv():
        cards[f"PV{i}_{m}"] = float(value)
    return cards


def _is_transform(key: str) -> bool:
    return not re.match(r"(MJD|DATE|TELESCOP|INSTRUME|OBS|TIME)", key)


def box_cards(box: Box) -> list[tuple[str, object, str]]:
    """Cards of the first pixel's place in the parent, as IRAF (LTV) and LSST (alternate WCS "A") read it."""
    return [
        ("LTV1", float(-box.x0), "parent column to image column"),
        ("LTV2", float(-box.y0), "parent row to image row"),
        ("CTYPE1A", "LINEAR", "parent pixels"),
        ("CTYPE2A", "LINEAR", "parent pixels"),
        ("CRPIX1A", 1.0, "first column"),
        ("CRPIX2A", 1.0, "first row"),
        ("CRVAL1A", float(box.x0), "its column in the parent, from 0"),
        ("CRVAL2A", float(box.y0), "its row in the parent, from 0"),
        ("CUNIT1A", "PIXEL", ""),
        ("CUNIT2A", "PIXEL", ""),
    ]
