"""Through what air an exposure was taken, from what its cards say of place, time and weather."""

from __future__ import annotations

import math
from collections.abc import Mapping

from diapipe.numerics.refraction import toward_zenith

_PASCAL_FROM = 2000.0
"""Pressures from here on are in Pa, as LSST writes them; below, in hPa."""


def conditions(values: Mapping[str, float | None]) -> dict[str, float]:
    """Fields of `ObservationInfo` on the air; NaN where unknown or impossible.

    Parameters
    ----------
    values
        Numbers of cards by ``airmass``, ``parallactic_angle``, ``temperature`` (Celsius), ``pressure`` (Pa or hPa),
        ``humidity`` (per cent, or 0 to 1), and for the zenith where no card says it: ``earth_rotation`` angle,
        ``longitude`` east, ``latitude``, ``ra``, ``dec`` (degrees).
    """
    pressure, humidity = values["pressure"], values["humidity"]
    z, angle = _zenith(values)
    own = values["parallactic_angle"]
    return {
        "airmass": _within(values["airmass"], 1.0, 40.0, 1.0 / math.cos(math.radians(z)) if z < 88.0 else math.nan),
        "parallactic_angle_deg": angle if own is None else own,
        "temperature_c": _within(values["temperature"], -80.0, 60.0),
        "pressure_hpa": _within(
            pressure / 100.0 if pressure is not None and pressure >= _PASCAL_FROM else pressure, 300.0, 1100.0
        ),
        "relative_humidity": _within(
            humidity / 100.0 if humidity is not None and humidity > 1.0 else humidity, 0.0, 1.0
        ),
    }


def _within(value: float | None, least: float, most: float, otherwise: float = math.nan) -> float:
    return value if value is not None and least <= value <= most else otherwise


def _zenith(values: Mapping[str, float | None]) -> tuple[float, float]:
    """Zenith distance and parallactic angle from place, time and pointing; NaN where one is unknown."""
    found = [values[name] for name in ("earth_rotation", "longitude", "ra", "dec", "latitude")]
    known = [value for value in found if value is not None]
    if len(known) < len(found):
        return math.nan, math.nan
    rotation, longitude, ra, dec, latitude = known
    if not (abs(latitude) <= 90.0 and abs(dec) <= 90.0):
        return math.nan, math.nan
    return toward_zenith(hour_angle_deg=rotation + longitude - ra, dec_deg=dec, latitude_deg=latitude)
