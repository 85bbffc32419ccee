"""From pixels to the sky: positions, their errors, areas."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from astropy.wcs import WCS
from numpy.typing import NDArray

from diapipe.numerics.arrays import FloatArray

DEG_TO_ARCSEC = 3600.0


def sky_columns(
    wcs: WCS | None, *, x: FloatArray, y: FloatArray, xx: FloatArray, yy: FloatArray, xy: FloatArray
) -> dict[str, FloatArray]:
    """Columns ra, dec, their errors and covariance, in degrees; NaN without a WCS.

    Parameters
    ----------
    wcs
        From parent pixels to the sky.
    x, y
        Centroids.
    xx, yy, xy
        Covariance of the centroids, square pixels.
    """
    if wcs is None or len(x) == 0:
        return {name: np.full(len(x), np.nan) for name in ("ra", "dec", "raErr", "decErr", "ra_dec_Cov")}
    ra, dec = (np.asarray(v, dtype=np.float64) for v in wcs.pixel_to_world_values(x, y))
    (rx, ry), (dx, dy) = _jacobian(wcs, x, y, dec)
    return {
        "ra": ra,
        "dec": dec,
        "raErr": np.sqrt(rx**2 * xx + 2 * rx * ry * xy + ry**2 * yy),
        "decErr": np.sqrt(dx**2 * xx + 2 * dx * dy * xy + dy**2 * yy),
        "ra_dec_Cov": rx * dx * xx + (rx * dy + ry * dx) * xy + ry * dy * yy,
    }


def dipole_columns(wcs: WCS | None, columns: Mapping[str, NDArray[Any]]) -> dict[str, FloatArray]:
    """dipoleLength, arc seconds, and dipoleAngle, degrees from north towards east, of a separation in pixels.

    Noise lengthens a vector by σ²/(2 |d|) on average, σ its error across its direction; that is taken out of the length
    where it is small. NaN without a WCS.
    """
    x, y, dx, dy = (np.asarray(columns[f"dp_dipole{name}"], np.float64) for name in ("X", "Y", "Dx", "Dy"))
    missing = np.full(len(x), np.nan)
    fitted = np.isfinite(x)
    if wcs is None or not fitted.any():
        return {"dipoleLength": missing, "dipoleAngle": missing.copy()}
    (rx, ry), (sx, sy) = _jacobian(wcs, x[fitted], y[fitted], wcs.pixel_to_world_values(x[fitted], y[fitted])[1])
    length, angle = missing.copy(), missing.copy()
    east, north = rx * dx[fitted] + ry * dy[fitted], sx * dx[fitted] + sy * dy[fitted]
    length[fitted] = np.hypot(east, north) * _part_without_noise(columns)[fitted] * DEG_TO_ARCSEC
    angle[fitted] = np.degrees(np.arctan2(east, north)) % 360.0
    return {"dipoleLength": length, "dipoleAngle": angle}


def _part_without_noise(columns: Mapping[str, NDArray[Any]]) -> FloatArray:
    """What is left of the separation when the lengthening by noise is taken off; 1 where that is not small."""
    dx, dy, x_err, y_err = (np.asarray(columns[f"dp_dipole{name}"]) for name in ("Dx", "Dy", "DxErr", "DyErr"))
    square = dx**2 + dy**2
    with np.errstate(invalid="ignore", divide="ignore"):
        across = ((dy * x_err) ** 2 + (dx * y_err) ** 2 - 2.0 * dx * dy * columns["dp_dipoleDxDyCov"]) / square
        return np.where(across < 0.25 * square, 1.0 - 0.5 * across / square, 1.0)


def _jacobian(
    wcs: WCS, x: FloatArray, y: FloatArray, dec: FloatArray
) -> tuple[tuple[FloatArray, FloatArray], tuple[FloatArray, FloatArray]]:
    """Changes of (ra cos dec, dec) with x and y, degrees a pixel, by central differences of one pixel."""
    steps = []
    for hx, hy in ((0.5, 0.0), (0.0, 0.5)):
        after, before = wcs.pixel_to_world_values(x + hx, y + hy), wcs.pixel_to_world_values(x - hx, y - hy)
        change = (np.asarray(after[0]) - np.asarray(before[0]) + 180.0) % 360.0 - 180.0
        steps.append((change * np.cos(np.radians(dec)), np.asarray(after[1]) - np.asarray(before[1])))
    (rx, dx), (ry, dy) = steps
    return (rx, ry), (dx, dy)


def pixel_area_arcsec2(wcs: WCS | None, *, x: float, y: float) -> float | None:
    """Area of a pixel on the sky; None without a WCS."""
    if wcs is None:
        return None
    at = np.array([x]), np.array([y])
    dec = np.asarray(wcs.pixel_to_world_values(*at)[1], dtype=np.float64)
    (rx, ry), (dx, dy) = _jacobian(wcs, *at, dec)
    return float(abs(rx[0] * dy[0] - ry[0] * dx[0])) * DEG_TO_ARCSEC**2
