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


def trail_columns(
    wcs: WCS | None, columns: Mapping[str, NDArray[Any]], covariance: FloatArray
) -> dict[str, FloatArray]:
    """Middle, ends, length and angle of trails on the sky, with errors; NaN without a WCS.

    Parameters
    ----------
    wcs
        From parent pixels to the sky.
    columns
        ``dp_trailX``, ``dp_trailY``, ``dp_trailDx`` and ``dp_trailDy``.
    covariance
        Of these four; shape (n, 4, 4).

    Notes
    -----
    The angle is that of Rubin's catalogues, from north towards east, between 0 and 180 degrees, as a trail has no
    direction. The length is freed of what noise adds to it.
    """
    names = ["Ra", "Dec", "RaErr", "DecErr", "Length", "LengthErr", "Angle", "AngleErr"]
    told = {f"trail{name}": np.full(len(covariance), np.nan) for name in names}
    told |= {f"dp_trail{name}": np.full(len(covariance), np.nan) for name in ("Ra0", "Dec0", "Ra1", "Dec1")}
    x, y, dx, dy = (np.asarray(columns[f"dp_trail{name}"], np.float64) for name in ("X", "Y", "Dx", "Dy"))
    fitted = np.isfinite(x)
    if wcs is None or not fitted.any():
        return told
    x, y, extent = x[fitted], y[fitted], np.stack([dx, dy], axis=1)[fitted]
    ra, dec = (np.asarray(v, dtype=np.float64) for v in wcs.pixel_to_world_values(x, y))
    jacobian = np.moveaxis(np.array(_jacobian(wcs, x, y, dec)), 2, 0) * DEG_TO_ARCSEC
    middle, spread = (jacobian @ covariance[fitted, k : k + 2, k : k + 2] @ jacobian.swapaxes(1, 2) for k in (0, 2))
    length, length_err, angle, angle_err = _polar(np.einsum("nij,nj->ni", jacobian, extent), spread)
    ra_err, dec_err = np.sqrt(np.einsum("nii->in", middle)) / DEG_TO_ARCSEC
    values = [ra, dec, ra_err, dec_err, length, length_err, angle, angle_err]
    for sign in (-0.5, 0.5):
        values += wcs.pixel_to_world_values(x + sign * extent[:, 0], y + sign * extent[:, 1])
    for column, of_fitted in zip(told.values(), values, strict=True):
        column[fitted] = of_fitted
    return told


def _polar(vector: FloatArray, covariance: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Length and error, angle from the second axis to the first, 0 to 180 degrees, and error, of vectors (n, 2)."""
    length = np.hypot(*vector.T)
    along = vector / length[:, None]
    aside = np.stack([along[:, 1], -along[:, 0]], axis=1)
    error, across = (np.sqrt(np.einsum("ni,nij,nj->n", v, covariance, v)) for v in (along, aside))
    turn = across / length
    angle = np.degrees(np.arctan2(vector[:, 0], vector[:, 1])) % 180.0
    return length * np.where(turn < 0.5, 1.0 - 0.5 * turn**2, 1.0), error, angle, np.degrees(turn)


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
