"""What the usual header cards say: time, band, detector constants, unit, zero point."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import erfa  # type: ignore[import-untyped]
from astropy.io import fits

from diapipe.images.exposure import ObservationInfo
from diapipe.images.photo_calib import ZERO_POINT_NJY, PhotoCalib
from diapipe.io import air

MJD_ZERO = 2400000.5
SECONDS_PER_DAY = 86400.0

_GAIN = ("GAIN", "EGAIN", "CCDGAIN", "ATODGAIN", "GAINEFF")
_READ_NOISE = ("RDNOISE", "READNOIS", "READNOISE", "RON", "READNSE", "ENOISE", "RDNOIS")
_SATURATION = ("ESATUR", "SATURATE", "SATLEVEL", "SATURAT", "SATUR", "SATURVAL")
_ZERO_POINT = ("MAGZP", "MAGZERO", "MAGZPT", "ZP", "PHOTZP", "ZEROPNT", "ZPT")
_EXPOSURE_TIME = ("EXPTIME", "EXPOSURE", "EXPOSED", "TELAPSE", "ITIME")
FILTER_CARDS = ("BAND", "FILTER", "FILTNAM", "FILTERID", "FILTER1", "FILTER2", "FILTER01", "FILT")
_VISIT = ("VISIT", "EXPID", "EXPNUM")
_DETECTOR = ("DETECTOR", "CCDNUM", "DET-ID", "CCD", "CCDID")
_AIR = {
    "airmass": ("AIRMASS", "BORE-AIRMASS", "SECZ"),
    "parallactic_angle": ("PARANGLE", "PARALLAC", "PARANG"),
    "temperature": ("AIRTEMP",),
    "pressure": ("AIRPRESS",),
    "humidity": ("HUMIDITY",),
    "earth_rotation": ("AVG-ERA",),
    "longitude": ("OBS-LONG",),
    "latitude": ("OBS-LAT",),
    "ra": ("BORE-RA",),
    "dec": ("BORE-DEC",),
}
_NO_FILTER = {"", "CLEAR", "OPEN", "NONE", "AIR", "EMPTY", "N/A"}
_NJY_PER = {"njy": 1.0, "ujy": 1e3, "microjy": 1e3, "mjy": 1e6, "jy": 1e9}
_ADU = {"adu", "adus", "dn", "count", "counts", "ct"}
_ELECTRON = {"e", "e-", "electron", "electrons"}

_STRUCTURE = re.compile(
    r"(SIMPLE|XTENSION|BITPIX|NAXIS\d*|EXTEND|PCOUNT|GCOUNT|GROUPS|END|CHECKSUM|DATASUM|INHERIT|EXTNAME|EXTTYPE|EXTVER"
    r"|BSCALE|BZERO|BLANK|Z[A-Z]+\d*|COMMENT|HISTORY|"
    r"|MP_.*|T(FORM|TYPE|UNIT|DIM|NULL)\d+|ARCHIVE_ID_.*|.*_ID|AR_HDU|EXPINFO_V|CONTINUE)$"
)
_WCS = re.compile(
    r"(WCSAXES|WCSNAME|WCSDIM|C(TYPE|RVAL|RPIX|UNIT|DELT|ROTA)\d[A-Z]?|(CD|PC)\d+_\d+[A-Z]?|P[VS]\d_\d+[A-Z]?|LONPOLE[A-Z]?|LATPOLE[A-Z]?"
    r"|(A|B|AP|BP)_(\d+_\d+|ORDER|DMAX)|LT[VM]\d(_\d)?|WAT\d_\d+|RADE(C?)SYS|EQUINOX|MJDREF[IF]?)$"
)


def sound(header: fits.Header) -> fits.Header:
    """The cards whose value can be read: one that breaks the standard counts as missing."""
    return fits.Header([card for card in header.cards if _is_sound(card)])


def _is_sound(card: fits.Card) -> bool:
    try:
        _ = card.value
    except (fits.VerifyError, ValueError):
        return False
    return True


def number(header: Mapping[str, Any], names: Iterable[str]) -> float | None:
    """The first of the cards that holds a finite number (a string that spells one counts), or None."""
    return next(_numbers(header, names), None)


def _numbers(header: Mapping[str, Any], names: Iterable[str]) -> Iterator[float]:
    for name in names:
        value = header.get(name)
        if value is None or isinstance(value, bool | fits.card.Undefined):
            continue
        try:
            parsed = float(value)
        except (TypeError, ValueError):
            continue
        if math.isfinite(parsed):
            yield parsed


def _positive(header: Mapping[str, Any], names: Iterable[str]) -> float | None:
    return next((value for value in _numbers(header, names) if value > 0), None)


def gain(header: Mapping[str, Any]) -> float | None:
    """Electrons per count: one card, or the mean of the two amplifiers' GAINA and GAINB."""
    amplifiers = [value for value in _numbers(header, ("GAINA", "GAINB")) if value > 0]
    return _positive(header, _GAIN) or (sum(amplifiers) / len(amplifiers) if amplifiers else None)


def read_noise(header: Mapping[str, Any]) -> float | None:
    """Electrons: one card, or the worse of two amplifiers."""
    return _positive(header, _READ_NOISE) or max(_numbers(header, ("RDNOISEA", "RDNOISEB")), default=None)


def saturation(header: Mapping[str, Any]) -> float | None:
    """Counts from which a pixel is saturated: one card, or the lower of two amplifiers."""
    amplifiers = [value for value in _numbers(header, ("SATURATA", "SATURATB")) if value > 0]
    return _positive(header, _SATURATION) or min(amplifiers, default=None)


def unit(header: Mapping[str, Any]) -> str:
    """Unit of the pixels: ``"nJy"``, ``"adu"`` (also if BUNIT is missing), ``"electron"``, or BUNIT as it stands."""
    text = str(header.get("BUNIT") or "adu").strip()
    plain = text.lower().replace("μ", "u").replace("µ", "u")
    if plain in _ADU:
        return "adu"
    if plain in _ELECTRON:
        return "electron"
    return "nJy" if plain == "njy" else text


def photo_calib(header: Mapping[str, Any]) -> PhotoCalib | None:
    """Calibration that the cards state outright: a flux density as BUNIT, FLUXMAG0, or a zero-point card; else None."""
    scale = _NJY_PER.get(str(header.get("BUNIT") or "").strip().lower().replace("µ", "u"))
    if scale is not None:
        return PhotoCalib(scale)
    counts_of_zero = _positive(header, ("FLUXMAG0",))
    if counts_of_zero is not None:
        error = number(header, ("FLUXMAG0ERR",)) or 0.0
        return PhotoCalib(ZERO_POINT_NJY / counts_of_zero, ZERO_POINT_NJY * error / counts_of_zero**2)
    zero_point = _positive(header, _ZERO_POINT)
    return None if zero_point is None else PhotoCalib.from_zero_point(zero_point)


def band(header: Mapping[str, Any]) -> str:
    """Band from the filter's name: ``"i"`` for ``"i DECam SDSS c0003"``, ``"HSC-i"``, ``"i.MP9702"``; "" if unknown."""
    return band_of(filter_name(header))


def filter_name(header: Mapping[str, Any]) -> str:
    """The filter as the first card that names one spells it; "" if none does."""
    names = (str(header.get(card) or "").strip() for card in FILTER_CARDS)
    return next((name for name in names if name.upper() not in _NO_FILTER), "")


def band_of(filter_name: str) -> str:
    """The letters of a filter's name that say which band it is."""
    word = (filter_name.split() or [""])[0]
    prefixed = re.fullmatch(r"(?:HSC|DECam|SDSS|PS1|ZTF|LSST|sdss|ztf|decam|hsc)[-_ ]?([A-Za-z])\d?", word)
    if prefixed:
        return prefixed.group(1).lower()
    return word.split(".")[0].split("_")[0] if re.match(r"[A-Za-z]{1,2}[._]", word) else word


def mjd_midpoint(header: Mapping[str, Any]) -> float:
    """Middle of the exposure as MJD (TAI): a card for it, or the beginning and the exposure time; NaN if unknown."""
    scale = str(header.get("TIMESYS") or "UTC").strip().upper()
    middle = _positive(header, ("MJD-MID", "MJD-AVG", "MJDMID"))
    if middle is None:
        middle = _mjd_of_date(str(header.get("DATE-AVG") or ""))
    if middle is None:
        start = _positive(header, ("MJD-OBS", "MJD-BEG", "MJD-STR", "MJD", "MJD_OBS"))
        start = start if start is not None else _mjd_of_date(_date_time(header))
        middle = None if start is None else start + 0.5 * (_positive(header, _EXPOSURE_TIME) or 0.0) / SECONDS_PER_DAY
    return float("nan") if middle is None else to_tai(middle, scale)


def to_tai(mjd: float, scale: str) -> float:
    """MJD in TAI of an MJD in ``"UTC"``, ``"TAI"`` or ``"TT"``; other scales are left as they are."""
    if scale == "UTC" and 36934 <= mjd < 80000:
        first, second, *_ = erfa.ufunc.utctai(MJD_ZERO, mjd)
        return float((first - MJD_ZERO) + second)
    return mjd - 32.184 / SECONDS_PER_DAY if scale == "TT" else mjd


def _date_time(header: Mapping[str, Any]) -> str:
    """DATE-OBS with the time of day, which older files keep in a card of its own."""
    date = str(header.get("DATE-OBS") or "").strip()
    if "T" in date or not date:
        return date
    clock = next(
        (str(header[card]).strip() for card in ("UT", "UTC-OBS", "UTSTART", "TIME-OBS") if header.get(card)), ""
    )
    return f"{date}T{clock}" if ":" in clock else ""


def _mjd_of_date(text: str) -> float | None:
    """MJD of ``YYYY-MM-DDThh:mm:ss.s`` read as it stands (leap seconds apart), or None."""
    found = re.match(r"(\d{4})-(\d\d)-(\d\d)T(\d\d?):(\d\d):(\d\d(?:\.\d*)?)", text.strip())
    if not found:
        return None
    year, month, day, hour, minute = (int(part) for part in found.groups()[:5])
    try:
        _, days = erfa.cal2jd(year, month, day)
    except erfa.ErfaError:
        return None
    return float(days + (hour + (minute + float(found.group(6)) / 60.0) / 60.0) / 24.0)


def info(header: Mapping[str, Any]) -> ObservationInfo:
    """What the cards say of the observation. The gain is per pixel unit: 1 where the pixels are electrons."""
    seconds = _positive(header, _EXPOSURE_TIME)
    per_count = gain(header)
    plain = str(header.get("BUNIT") or "").strip().lower().replace("electrons", "electron").replace(" ", "")
    if plain in _ELECTRON:
        per_count = 1.0
    elif plain in {"electron/s", "e-/s", "e/s", "electrons-1"}:
        per_count = seconds
    return ObservationInfo(
        visit=int(number(header, _VISIT) or 0),
        detector=int(number(header, _DETECTOR) or 0),
        band=band(header),
        mjd_midpoint=mjd_midpoint(header),
        exposure_time_s=float("nan") if seconds is None else seconds,
        gain=per_count,
        read_noise=read_noise(header),
        saturation=saturation(header),
        **air.conditions({name: number(header, cards) for name, cards in _AIR.items()}),
    )


def metadata(*headers: fits.Header) -> dict[str, Any]:
    """Scalar cards that describe neither the file's structure nor the WCS; later headers win."""
    kept: dict[str, Any] = {}
    for header in headers:
        for card in header.cards:
            key = str(card.keyword)
            if _STRUCTURE.match(key) or _WCS.match(key):
                continue
            if isinstance(card.value, str | bool | int | float):
                kept[key] = card.value
    return kept
