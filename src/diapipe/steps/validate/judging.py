"""One difference against what is true of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from astropy.table import Column, Table

from diapipe.catalogs.columns import ColumnReader, refuse_rows
from diapipe.catalogs.dia_objects import need_columns
from diapipe.catalogs.injections import FLUXES, HOSTLESS, TRAILED
from diapipe.catalogs.matching import match_sky
from diapipe.errors import InputError
from diapipe.images import UNUSABLE_DIFFERENCE, Box, Difference, Psf
from diapipe.images.calibrated import flux_scale, flux_unit
from diapipe.images.sky import pixel_scale_deg
from diapipe.images.source_profile import source_profiles, static_light
from diapipe.numerics import pairs
from diapipe.numerics.arrays import BoolArray, FloatArray, IntArray
from diapipe.steps.validate.causes import KNOWN, causes_of, expected_noise_density
from diapipe.steps.validate.missed import CORE_PX, why_missed
from diapipe.steps.validate.nearness import SEEN_SNR, near_pairs
from diapipe.steps.validate.quality import Quality

KNOWN_ARCSEC = 0.5
"""A source this near to an object is one of it, as the association has it."""
_ARCSEC = 3600.0
_TRUTH_COLUMNS = (
    "injectionId",
    "object_id",
    "kind",
    "is_faded",
    "ra",
    "dec",
    "x",
    "y",
    "flux",
    "static_flux",
    "surface_flux",
    "trail_length",
    "trail_angle",
)
_SOURCE_COLUMNS = ("diaSourceId", "ra", "dec", "x", "y", "snr", "dp_bad", "reliability")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Judged:
    """What became of the truth on one difference, and what its sources are.

    Attributes
    ----------
    truth
        Rows of the truth that lie on the difference, and ``snr_true`` (on this difference), ``is_usable`` (no unusable
        pixel within two, and its flux is known), ``diaSourceId`` (0 where nothing was found), ``is_good`` (found,
        without ``dp_bad``), ``measured``, ``measured_err`` (the flux of the source; of its trail where something
        trailed), ``dx``, ``dy`` (pixels, found less true), ``why_missed``, and ``reliability`` (the highest of what is
        there) where sources have one. Fluxes are in the unit of the DIA sources.
    sources
        ``diaSourceId``, ``ra``, ``dec``, ``x``, ``y``, ``snr``, ``dp_bad``, ``reliability`` if there is one,
        ``is_true`` (something true is there) and ``cause``, as `causes_of` tells it.
    area_deg2
        Of the usable pixels; NaN without a WCS.
    pixel_scale_arcsec
        NaN without a WCS.
    n_expected_noise
        Sources that Gaussian noise alone makes on the usable pixels.
    name, band, visit, detector
        Of the difference.
    quality
        Its noise and what is left of its stars, as in its summary; None where nobody looked.
    in_template
        Whether the template holds light of the visit itself: what changed is fainter there, and the noise is not that
        of two images.
    """

    truth: Table
    sources: Table
    area_deg2: float
    pixel_scale_arcsec: float
    n_expected_noise: float
    name: str
    band: str
    visit: int = 0
    detector: int = 0
    in_template: bool = False
    quality: Quality | None = None


def judge(
    difference: Difference,
    dia_sources: Table,
    truth: Table,
    *,
    threshold_sigma: float,
    quality: Quality | None = None,
) -> Judged:
    """Compare the sources of a difference with what is true of it.

    Parameters
    ----------
    difference
        With its PSF.
    dia_sources
        Found on it.
    truth
        ``x``, ``y`` (parent pixels), ``flux`` (science minus template, in the unit of the difference's pixels) and
        ``kind``; ``trail_length`` and ``trail_angle`` where something trailed; ``is_known`` False where something is
        there of which nobody knows how bright it is: none must find it, and who does has found something true.
    threshold_sigma
        That sources were searched with.
    quality
        ``noise`` and ``stars`` of the difference's summary, to be told beside.

    Raises
    ------
    InputError
        If the difference has no PSF.
    """
    exposure = difference.exposure
    seen, psf = seen_on(difference, truth), _psf_of(difference)
    fwhm = psf.fwhm_at(x=exposure.box.x_center, y=exposure.box.y_center)
    near = near_pairs(seen, dia_sources, fwhm_px=fwhm)
    is_true: BoolArray = np.zeros(len(dia_sources), np.bool_)
    explains = (np.abs(np.asarray(seen["snr_true"])) > SEEN_SNR) | ~_is_known(seen)
    is_true[near.second[explains[near.first]]] = True
    found = _add_outcome(seen, dia_sources, near)
    there = _snr_there(difference, seen)
    seen["why_missed"] = why_missed(difference, dia_sources, seen, found, snr_there=there, threshold=threshold_sigma)
    sources = dia_sources[[name for name in _SOURCE_COLUMNS if name in dia_sources.colnames]]
    sources["is_true"] = is_true
    sources["cause"] = causes_of(dia_sources)
    n_usable = int(np.count_nonzero(exposure.masked_image.usable(UNUSABLE_DIFFERENCE)))
    scale = float("nan") if exposure.wcs is None else pixel_scale_deg(exposure.wcs)
    middle = {"x": exposure.box.x_center, "y": exposure.box.y_center}
    return Judged(
        truth=seen,
        sources=sources,
        area_deg2=n_usable * scale**2,
        pixel_scale_arcsec=scale * _ARCSEC,
        n_expected_noise=n_usable * expected_noise_density(psf, **middle, threshold=threshold_sigma),
        name=exposure.name,
        band=exposure.info.band,
        visit=exposure.info.visit,
        detector=exposure.info.detector,
        quality=quality,
    )


def with_known_objects(judged: Judged, objects: Table) -> Judged:
    """The same with `KNOWN` as the cause of what no truth explains at the places of objects seen on other visits.

    Noise does not come twice at one place. What does is a real change, or a flaw of a template that all visits share.

    Parameters
    ----------
    judged
        One difference.
    objects
        ``ra`` and ``dec`` of those seen on two visits or more.
    """
    sources = Table(judged.sources, copy=True)
    found = match_sky(_OnSky.of(sources), _OnSky.of(objects), radius_arcsec=KNOWN_ARCSEC, keep="nearest").first
    again: BoolArray = np.zeros(len(sources), np.bool_)
    again[found] = True
    again &= ~np.asarray(sources["is_true"], dtype=np.bool_)
    sources["cause"] = np.where(again, KNOWN, np.asarray(sources["cause"]))
    return replace(judged, sources=sources)


def truth_table(table: Table, difference: Difference, *, name: str) -> Table:
    """A table of what is true as `judge` wants it, from one of `diapipe inject`, of a simulation, or of a user.

    Fluxes in nJy are brought to the unit of the difference's pixels; without a ``kind`` all are points on the sky.

    Parameters
    ----------
    table
        ``x``, ``y``, ``flux``; where it has them ``kind``, ``trail_length``, ``trail_angle``, ``static_flux``,
        ``is_known``, and ``mask``: planes under each place, of which unusable ones make it unknown.
    difference
        That it is true of.
    name
        What messages call the table.

    Raises
    ------
    InputError
        If a column is missing, or has no number in a row that is known, or fluxes are in nJy and the difference is
        not calibrated.
    """
    need_columns(table, ("x", "y", "flux"), name=name)
    known, read = _is_known(table), ColumnReader(table, name)
    for column in ("x", "y", "flux"):
        refuse_rows(known & ~np.isfinite(read.numbers((column,))), f"{name} has no {column} in")
    kept = Table({column: table[column] for column in _TRUTH_COLUMNS if column in table.colnames}, copy=True)
    exposure = difference.exposure
    if str(table["flux"].unit) == "nJy" and exposure.unit != "nJy":
        if exposure.photo_calib is None:
            raise InputError(f"{name} has fluxes in nJy, and {exposure.name} no calibration; give them in its counts")
        scale = flux_scale(exposure, x=np.asarray(kept["x"]), y=np.asarray(kept["y"]))
        for column in FLUXES:
            if column in kept.colnames:
                kept[column] = np.asarray(kept[column], dtype=np.float64) / scale
    if "kind" not in kept.colnames:
        kept["kind"] = np.full(len(kept), HOSTLESS)
    kept["is_known"] = known
    if "mask" in table.colnames:
        kept["is_known"] &= (np.asarray(table["mask"]) & int(UNUSABLE_DIFFERENCE)) == 0
    return kept


def seen_on(difference: Difference, truth: Table) -> Table:
    """What is true on a difference: the rows on its pixels, with ``snr_true`` and ``is_usable``, fluxes calibrated.

    ``snr_true`` is the flux over the error of an ideal fit with the difference's own PSF and noise.

    Raises
    ------
    InputError
        If the difference has no PSF.
    """
    planes, box = difference.exposure.masked_image, difference.box
    x, y = np.asarray(truth["x"], dtype=np.float64), np.asarray(truth["y"], dtype=np.float64)
    inside = (x > box.x0 - 0.5) & (x < box.x1 - 0.5) & (y > box.y0 - 0.5) & (y < box.y1 - 0.5)
    seen = Table(truth[inside], copy=True)
    x, y = x[inside], y[inside]
    profiles, noise = source_profiles(_psf_of(difference), seen), difference.exposure.noise_correlation
    _, error = static_light(planes, profiles, correlation=noise)
    flux = np.asarray(seen["flux"], dtype=np.float64)
    seen["snr_true"] = flux / error
    clean = [_is_clean(difference, *place) for place in zip(x.tolist(), y.tolist(), strict=True)]
    seen["is_usable"] = np.asarray(clean, dtype=np.bool_) & _is_known(seen)
    scale = flux_scale(difference.exposure, x=x, y=y)
    for name in FLUXES:
        if name in seen.colnames:
            seen[name] = Column(np.asarray(seen[name], dtype=np.float64) * scale, unit=flux_unit(difference.exposure))
    return seen


def _add_outcome(seen: Table, dia_sources: Table, near: pairs.Pairs) -> IntArray:
    """Columns on the nearest source of each true row; a good one goes before a bad one. Its index, -1 for none."""
    n = len(seen)
    good = ~np.asarray(dia_sources["dp_bad"], dtype=np.bool_)
    found: IntArray = np.full(n, -1, np.int64)
    best_last = np.lexsort((-near.distance, good[near.second]))
    found[near.first[best_last]] = near.second[best_last]
    there = found >= 0
    columns = {name: np.full(n, np.nan) for name in ("measured", "measured_err", "dx", "dy")}
    flux, error = _fluxes(seen, dia_sources, found)
    columns["measured"][there], columns["measured_err"][there] = flux, error
    for axis in "xy":
        columns[f"d{axis}"][there] = np.asarray(dia_sources[axis])[found[there]] - np.asarray(seen[axis])[there]
    ids: IntArray = np.zeros(n, np.int64)
    ids[there] = np.asarray(dia_sources["diaSourceId"])[found[there]]
    is_good: BoolArray = there.copy()
    is_good[there] = good[found[there]]
    seen["diaSourceId"], seen["is_good"] = ids, is_good
    if "reliability" in dia_sources.colnames:
        columns["reliability"] = np.full(n, np.nan)
        np.fmax.at(columns["reliability"], near.first, np.asarray(dia_sources["reliability"])[near.second])
    for name, values in columns.items():
        seen[name] = values
    return found


def _snr_there(difference: Difference, seen: Table) -> FloatArray:
    """What an ideal fit of the PSF measures at each place, over its error."""
    exposure = difference.exposure
    profiles = source_profiles(_psf_of(difference), seen)
    flux, error = static_light(exposure.masked_image, profiles, correlation=exposure.noise_correlation)
    return flux / error


def _fluxes(seen: Table, dia_sources: Table, found: IntArray) -> tuple[FloatArray, FloatArray]:
    """Flux and error of what was found: of its trail where something trailed and a trail was fitted."""
    there = found >= 0
    index = found[there]
    flux, error = (np.asarray(dia_sources[name], dtype=np.float64)[index] for name in ("psfFlux", "psfFluxErr"))
    trail, its_error = (
        np.asarray(dia_sources[name], dtype=np.float64)[index] for name in ("trailFlux", "trailFluxErr")
    )
    fitted = (np.asarray(seen["kind"])[there] == TRAILED) & np.isfinite(trail) & np.isfinite(its_error)
    fitted &= ~np.asarray(dia_sources["trail_flag"], dtype=np.bool_)[index]
    return np.where(fitted, trail, flux), np.where(fitted, its_error, error)


def _is_known(truth: Table) -> BoolArray:
    """Of each row whether its flux is known."""
    if "is_known" not in truth.colnames:
        return np.ones(len(truth), np.bool_)
    return np.asarray(truth["is_known"], dtype=np.bool_)


def _is_clean(difference: Difference, x: float, y: float) -> bool:
    """Whether the pixels next to a place are usable."""
    core = Box.around(x=x, y=y, half=CORE_PX).intersect(difference.box)
    return core is not None and bool(difference.exposure.masked_image[core].usable(UNUSABLE_DIFFERENCE).all())


class _OnSky(NamedTuple):
    """Positions, degrees."""

    ra: FloatArray
    dec: FloatArray

    @classmethod
    def of(cls, table: Table) -> _OnSky:
        """Those of the rows of a table."""
        return cls(np.asarray(table["ra"], np.float64), np.asarray(table["dec"], np.float64))


def _psf_of(difference: Difference) -> Psf:
    """The PSF; InputError if there is none."""
    if difference.exposure.psf is None:
        raise InputError(f"the difference {difference.exposure.name} has no PSF; one is needed to judge its sources")
    return difference.exposure.psf
