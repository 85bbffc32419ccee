"""One difference against what is true of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from astropy.table import Table

from diapipe.catalogs.injections import TRAILED
from diapipe.catalogs.matching import match_sky
from diapipe.images import UNUSABLE_DIFFERENCE, Difference
from diapipe.images.sky import pixel_scale_deg
from diapipe.images.source_profile import source_profiles, static_light
from diapipe.numerics import pairs
from diapipe.numerics.arrays import BoolArray, FloatArray, IntArray
from diapipe.steps.validate.causes import KNOWN, causes_of, expected_noise_density
from diapipe.steps.validate.missed import why_missed
from diapipe.steps.validate.nearness import SEEN_SNR, is_apart, near_pairs
from diapipe.steps.validate.quality import Quality
from diapipe.steps.validate.truth import is_known, psf_of, seen_on

KNOWN_ARCSEC = 0.5
"""A source this near to an object is one of it, as the association has it."""
_ARCSEC = 3600.0
_SOURCE_COLUMNS = ("diaSourceId", "ra", "dec", "x", "y", "snr", "dp_bad", "reliability")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Judged:
    """What became of the truth on one difference, and what its sources are.

    Attributes
    ----------
    truth
        Rows of the truth that lie on the difference, and ``snr_true`` (on this difference), ``is_apart`` (no other
        change within a FWHM), ``is_usable`` (so, no unusable pixel within two, and its flux is known), ``diaSourceId``
        (0 where nothing was found), ``is_good`` (found, without ``dp_bad``), ``measured``, ``measured_err`` (the flux
        of the source; of its trail where something trailed), ``dx``, ``dy`` (pixels, found less true), ``why_missed``,
        and ``reliability`` (the highest of what is there) where sources have one. Fluxes are in the unit of the DIA
        sources.
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
    others: Table | None = None,
) -> Judged:
    """Compare the sources of a difference with what is true of it.

    Parameters
    ----------
    difference
        With its PSF.
    dia_sources
        Found on it; its sky sources, places where nothing was found, are left out.
    truth
        ``x``, ``y`` (parent pixels), ``flux`` (science minus template, in the unit of the difference's pixels) and
        ``kind``; ``trail_length`` and ``trail_angle`` where something trailed; ``is_known`` False where something is
        there of which nobody knows how bright it is: none must find it, and who does has found something true.
    threshold_sigma
        That sources were searched with.
    quality
        ``noise`` and ``stars`` of the difference's summary, to be told beside.
    others
        ``x``, ``y`` of what changes there besides the truth: what lies within a FWHM of it is not judged, as their
        light is one source. It does not explain what is found; sky sources of it are left out.

    Raises
    ------
    InputError
        If the difference has no PSF.
    """
    exposure, dia_sources = difference.exposure, _detected(dia_sources)
    seen, psf = seen_on(difference, truth), psf_of(difference)
    fwhm = psf.fwhm_at(x=exposure.box.x_center, y=exposure.box.y_center)
    seen["is_apart"] = is_apart(seen, None if others is None else _detected(others), fwhm_px=fwhm)
    seen["is_usable"] &= seen["is_apart"]
    near = near_pairs(seen, dia_sources, fwhm_px=fwhm)
    is_true: BoolArray = np.zeros(len(dia_sources), np.bool_)
    explains = (np.abs(np.asarray(seen["snr_true"])) > SEEN_SNR) | ~is_known(seen)
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


def _detected(dia_sources: Table) -> Table:
    """The rows of what was found."""
    if "sky_source" not in dia_sources.colnames:
        return dia_sources
    return dia_sources[~np.asarray(dia_sources["sky_source"], dtype=np.bool_)]


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
    profiles = source_profiles(psf_of(difference), seen)
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


class _OnSky(NamedTuple):
    """Positions, degrees."""

    ra: FloatArray
    dec: FloatArray

    @classmethod
    def of(cls, table: Table) -> _OnSky:
        """Those of the rows of a table."""
        return cls(np.asarray(table["ra"], np.float64), np.asarray(table["dec"], np.float64))
