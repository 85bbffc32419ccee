"""Which sources of a catalogue are on an image, where and how bright: at its time, in its band, in its counts."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from astropy.table import Table

from diapipe.catalogs.injection_catalog import ANY_VISIT, moves
from diapipe.catalogs.injections import HOSTLESS, TRAILED, injection_table
from diapipe.errors import InputError
from diapipe.images import Exposure
from diapipe.images.calibrated import flux_scale
from diapipe.images.sky import icrs_of, pixels_of_icrs
from diapipe.images.source_profile import source_profiles, static_light, surface_light
from diapipe.numerics.arrays import BoolArray, FloatArray
from diapipe.numerics.sphere import angles_of, unit_vectors
from diapipe.steps.inject.adding import psf_of

POINT_FWHM = 0.1
"""What moves by less than this during an exposure is a point."""
_DAY_S, _HOURS = 86400.0, 24.0

type Scale = Callable[[FloatArray, FloatArray], FloatArray]
"""What a count is worth at pixel positions, nJy."""


def given_on(exposure: Exposure, catalog: Table, *, nanojansky_per_count: Scale | None = None) -> Table:
    """The sources of a catalogue that are on an exposure.

    Rows of another band or visit are left out. Of a source with brightnesses by ``mjd`` the light curve is followed, in
    straight lines between them; before the first and after the last it is not there. What moves is where its great
    circle has it in the middle of the exposure, a trail as long as it goes meanwhile.

    Parameters
    ----------
    exposure
        With PSF, variance and mask; WCS and times where the catalogue needs them.
    catalog
        Of `diapipe.catalogs.injection_catalog.injection_catalog`.
    nanojansky_per_count
        By the exposure's own calibration where left out.

    Returns
    -------
    Table
        As `choose` gives it: columns of `INJECTION`, fluxes in the exposure's unit and positive, also where
        ``is_faded``.

    Raises
    ------
    InputError
        If the exposure lacks what the catalogue needs: a PSF, a WCS, a calibration, its time.
    """
    psf = psf_of(exposure)
    at = _at_its_time(_of_image(catalog, exposure), exposure)
    x, y, length, angle = _on_pixels(at, exposure)
    inside = exposure.box.holds(x, y)
    at, x, y, length, angle = at[inside], x[inside], y[inside], length[inside], angle[inside]
    n, fwhm = len(at), psf.fwhm_at(x=exposure.box.x_center, y=exposure.box.y_center)
    length = np.where(length < POINT_FWHM * fwhm, 0.0, length)
    kind = np.where(np.asarray(at["kind"]) == "", np.where(length > 0, TRAILED, HOSTLESS), np.asarray(at["kind"]))
    ra, dec = (np.full(n, np.nan),) * 2 if exposure.wcs is None else icrs_of(exposure.wcs, x, y)
    columns = {name: np.asarray(at[name]) for name in ("injectionId", "is_faded")}
    columns |= {"kind": kind, "ra": ra, "dec": dec, "x": x, "y": y, "trail_length": length, "trail_angle": angle}
    flux = _in_counts(at, exposure, x, y, nanojansky_per_count)
    static, _ = static_light(exposure.masked_image, source_profiles(psf, Table(columns)))
    columns |= {"flux": flux, "static_flux": static, "surface_flux": surface_light(exposure.masked_image, x, y)}
    return injection_table(columns, n=n, flux_unit=exposure.unit)


def why_none(exposure: Exposure, catalog: Table) -> str:
    """Why no source of a catalogue was put into an exposure, or into it and its template; the end of a sentence."""
    info, box = exposure.info, exposure.box
    of_image = _of_image(catalog, exposure)
    if not len(of_image):
        return f"its rows are of other bands or visits than {info.band or 'none'} and {info.visit}"
    at = _at_its_time(of_image, exposure)
    if not len(at):
        return f"none of its light curves goes over MJD {info.mjd_midpoint:.5f}"
    x, y, _, _ = _on_pixels(at, exposure)
    if not (np.isfinite(x) & np.isfinite(y)).any():
        return "the WCS has no pixel for any of its positions"
    if box.holds(x, y).any():
        return "what is on it lies off the template"
    given, own = (
        f"x {x0:.0f} to {x1:.0f}, y {y0:.0f} to {y1:.0f}"
        for x0, x1, y0, y1 in (
            (np.nanmin(x), np.nanmax(x), np.nanmin(y), np.nanmax(y)),
            (box.x0, box.x1 - 1, box.y0, box.y1 - 1),
        )
    )
    return f"its rows lie at {given}, and the image has {own}"


def _of_image(catalog: Table, exposure: Exposure) -> Table:
    """Rows of the exposure's band and visit."""
    band, visit = np.asarray(catalog["band"]), np.asarray(catalog["visit"])
    return catalog[((band == "") | (band == exposure.info.band)) & np.isin(visit, (ANY_VISIT, exposure.info.visit))]


def _at_its_time(catalog: Table, exposure: Exposure) -> Table:
    """One row of each light curve, as bright as it is when the exposure is taken; of other sources their rows."""
    timed = np.isfinite(np.asarray(catalog["mjd"]))
    if not timed.any():
        return catalog
    when, half = _time_of(exposure), 0.5 * np.nan_to_num(exposure.info.exposure_time_s) / _DAY_S
    kept = [int(row) for row in np.flatnonzero(~timed)]
    flux = {name: np.array(catalog[name], dtype=np.float64) for name in ("flux", "counts")}
    curves = np.flatnonzero(timed)
    curves = curves[np.lexsort((np.asarray(catalog["mjd"])[curves], np.asarray(catalog["injectionId"])[curves]))]
    ids, first = np.unique(np.asarray(catalog["injectionId"])[curves], return_index=True)
    for rows in np.split(curves, first[1:]) if len(ids) else ():
        times = np.asarray(catalog["mjd"])[rows]
        if not times[0] - half <= when <= times[-1] + half:
            continue
        kept.append(int(rows[0]))
        for values in flux.values():
            values[rows[0]] = np.interp(when, times, values[rows])
    chosen = Table(catalog, copy=True)
    for name, values in flux.items():
        chosen[name] = values
    return chosen[sorted(kept)]


def _on_pixels(catalog: Table, exposure: Exposure) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Where the middle of each source is, how long its path and in which direction."""
    x, y, length, angle = (
        np.array(catalog[name], dtype=np.float64) for name in ("x", "y", "trail_length", "trail_angle")
    )
    on_sky = np.isfinite(np.asarray(catalog["ra"]))
    if not on_sky.any():
        return x, y, length, angle
    if exposure.wcs is None:
        raise InputError(f"{exposure.name} has no WCS; one is needed for sources at ra, dec, or give x and y")
    moving = moves(catalog)
    elapsed = np.zeros(len(catalog))
    if moving.any():
        elapsed[moving] = (_time_of(exposure) - np.asarray(catalog["epoch"])[moving]) * _HOURS
    x[on_sky], y[on_sky] = pixels_of_icrs(exposure.wcs, *_moved(catalog, elapsed, on_sky))
    if moving.any():
        half = 0.5 * _exposure_time_of(exposure) / 3600.0
        (x0, y0), (x1, y1) = (
            pixels_of_icrs(exposure.wcs, *_moved(catalog, elapsed + sign * half, moving)) for sign in (-1, 1)
        )
        length[moving], angle[moving] = np.hypot(x1 - x0, y1 - y0), np.degrees(np.arctan2(y1 - y0, x1 - x0))
    return x, y, length, angle


def _moved(catalog: Table, hours: FloatArray, rows: BoolArray) -> tuple[FloatArray, FloatArray]:
    """Positions some hours after the epoch, along great circles; degrees."""
    ra, dec, east, north = (
        np.asarray(catalog[name], dtype=np.float64)[rows] for name in ("ra", "dec", "ra_rate", "dec_rate")
    )
    rate = np.hypot(east, north)
    angle = np.radians(rate * hours[rows] / 3600.0)
    lon, lat = np.radians(ra), np.radians(dec)
    to_east = np.stack([-np.sin(lon), np.cos(lon), np.zeros(len(lon))], axis=-1)
    to_north = np.stack([-np.sin(lat) * np.cos(lon), -np.sin(lat) * np.sin(lon), np.cos(lat)], axis=-1)
    with np.errstate(invalid="ignore"):
        along = np.nan_to_num((east / rate)[:, None] * to_east + (north / rate)[:, None] * to_north)
    found = angles_of(np.cos(angle)[:, None] * unit_vectors(ra, dec) + np.sin(angle)[:, None] * along)
    return np.where(angle == 0, ra, found[0]), np.where(angle == 0, dec, found[1])


def _in_counts(catalog: Table, exposure: Exposure, x: FloatArray, y: FloatArray, scale: Scale | None) -> FloatArray:
    """Fluxes in the exposure's unit."""
    flux, counts = (np.asarray(catalog[name], dtype=np.float64) for name in ("flux", "counts"))
    in_njy = np.isfinite(flux)
    if not in_njy.any():
        return counts
    if scale is None and exposure.photo_calib is None and exposure.unit != "nJy":
        raise InputError(
            f"{exposure.name} has no calibration; one is needed for fluxes in nJy or magnitudes, or give fluxes a unit "
            "of counts (adu)"
        )
    per_count = flux_scale(exposure, x=x, y=y) if scale is None else scale(x, y)
    return np.where(in_njy, flux / per_count, counts)


def _time_of(exposure: Exposure) -> float:
    if not np.isfinite(exposure.info.mjd_midpoint):
        raise InputError(f"nothing tells when {exposure.name} was taken; sources that move or vary need its time")
    return exposure.info.mjd_midpoint


def _exposure_time_of(exposure: Exposure) -> float:
    if not np.isfinite(exposure.info.exposure_time_s):
        raise InputError(f"nothing tells how long {exposure.name} was exposed; sources that move need it")
    return exposure.info.exposure_time_s
