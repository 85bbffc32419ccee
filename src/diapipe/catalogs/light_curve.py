"""LightCurve: the forced fluxes of one object in order of time, and its baseline where the template holds its light."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
from astropy.table import Table
from numpy.typing import NDArray

from diapipe.catalogs.columns import ColumnReader
from diapipe.catalogs.dia_objects import need_columns, ordered_bands
from diapipe.errors import InputError
from diapipe.numerics.arrays import BoolArray, FloatArray, IntArray
from diapipe.numerics.sphere import angle_of, unit_vectors

NEEDED = ("diaObjectId", "midpointMjdTai", "band", "psfFlux", "psfFluxErr")
FORCED_SOURCES = "the table of forced sources"

AB_OF_1_NJY = 31.4
"""AB magnitude of 1 nJy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """Level of one band of a light curve between its events.

    Attributes
    ----------
    flux, flux_err
        Weighted mean of the baseline's fluxes, and its error, grown where they scatter more than their errors say.
        Every flux of the band shares it; it is not in their own errors.
    n
        Epochs that made it.
    reduced_chi2
        Of these epochs about the level; NaN for one.
    """

    flux: float
    flux_err: float
    n: int
    reduced_chi2: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LightCurve:
    """One object's forced fluxes, in order of time; every array has shape (n,).

    Attributes
    ----------
    dia_object_id
        The object.
    ra, dec
        Where it was measured, degrees.
    mjd
        Middle of each exposure, TAI.
    band
        Name of each exposure's filter.
    visit
        Identifier of each exposure; 0 where unknown.
    flux, flux_err
        PSF flux on the difference and its error. NaN where there was nothing to measure: no limit is made of it.
    science_flux, science_flux_err
        PSF flux on the science image; NaN where it was not measured.
    template_flux, template_flux_err
        PSF flux of the template at this place, one for all epochs of a band, and its error, which they share; NaN where
        it was not measured.
    flag
        The flux is missing or not to be trusted.
    in_template
        The exposure is part of the template that it was compared with.
    is_baseline
        The epoch helped to set the level that was subtracted.
    levels
        What was subtracted from ``flux``, by band; empty for fluxes as measured.
    flux_unit
        Of all fluxes.
    """

    dia_object_id: int
    ra: float
    dec: float
    mjd: FloatArray
    band: NDArray[np.str_]
    visit: IntArray
    flux: FloatArray
    flux_err: FloatArray
    science_flux: FloatArray
    science_flux_err: FloatArray
    template_flux: FloatArray
    template_flux_err: FloatArray
    flag: BoolArray
    in_template: BoolArray
    is_baseline: BoolArray
    levels: Mapping[str, Level] = field(default_factory=dict)
    flux_unit: str = "nJy"

    ARRAYS: ClassVar[tuple[str, ...]] = (
        "mjd",
        "band",
        "visit",
        "flux",
        "flux_err",
        "science_flux",
        "science_flux_err",
        "template_flux",
        "template_flux_err",
        "flag",
        "in_template",
        "is_baseline",
    )

    def __len__(self) -> int:
        return len(self.mjd)

    @property
    def bands(self) -> tuple[str, ...]:
        """Its bands, those of Rubin by wavelength, then the others."""
        return ordered_bands(self.band)

    @property
    def is_measured(self) -> BoolArray:
        """Where there is a flux with an error that may be trusted."""
        return np.isfinite(self.flux) & np.isfinite(self.flux_err) & (self.flux_err > 0) & ~self.flag

    @property
    def total_flux(self) -> FloatArray:
        """The whole flux of the object: that of the template, and what each epoch has more or less, baselines undone.

        Of its errors ``flux_err`` is that of one epoch against another, ``template_flux_err`` that of all of them.
        """
        taken = np.array([self.levels[band].flux if band in self.levels else 0.0 for band in self.band])
        return np.asarray(self.template_flux + self.flux + taken)

    def magnitudes(self) -> tuple[FloatArray, FloatArray]:
        """AB magnitudes of `total_flux`, and errors of one epoch against another; NaN where there is no positive flux.

        Raises
        ------
        InputError
            If fluxes are not in nJy.
        """
        if self.flux_unit != "nJy":
            unit = self.flux_unit or "counts"
            raise InputError(f"magnitudes need fluxes in nJy; those of object {self.dia_object_id} are in {unit}")
        total = np.where(self.total_flux > 0.0, self.total_flux, np.nan)
        return AB_OF_1_NJY - 2.5 * np.log10(total), 2.5 / np.log(10.0) * self.flux_err / total

    def where(self, chosen: BoolArray | IntArray | slice) -> LightCurve:
        """The chosen epochs alone."""
        return replace(self, **{name: getattr(self, name)[chosen] for name in self.ARRAYS})

    def in_band(self, band: str) -> LightCurve:
        """The epochs of one band."""
        return self.where(self.band == band)

    def measured(self) -> LightCurve:
        """The epochs that have a flux to be trusted."""
        return self.where(self.is_measured)


def light_curves(forced_sources: Table, *, template_visits: Iterable[int] = ()) -> Iterator[LightCurve]:
    """The light curve of every object of a table of forced sources, by identifier.

    Parameters
    ----------
    forced_sources
        As ``dia_object_forced_source`` has them, in any order.
    template_visits
        Visits that the templates were made of.

    Raises
    ------
    InputError
        If a column is missing.
    """
    need_columns(forced_sources, NEEDED, name=FORCED_SOURCES)
    read = ColumnReader(forced_sources, FORCED_SOURCES)
    ids, visit = np.asarray(forced_sources["diaObjectId"]), _visits(forced_sources)
    order = np.lexsort((visit, read.numbers(["midpointMjdTai"]), ids))
    columns = _columns(forced_sources, read, visit, np.fromiter(template_visits, np.int64))
    ids, columns = ids[order], {name: values[order] for name, values in columns.items()}
    first = np.flatnonzero(np.concatenate([np.ones(min(len(ids), 1), np.bool_), ids[1:] != ids[:-1]]))
    unit = str(forced_sources["psfFlux"].unit or "")
    for start, end in pairwise([*first, len(ids)]):
        own: dict[str, Any] = {name: values[start:end] for name, values in columns.items()}
        ra, dec = own.pop("ra")[0], own.pop("dec")[0]
        yield LightCurve(dia_object_id=int(ids[start]), ra=float(ra), dec=float(dec), flux_unit=unit, **own)


def light_curve(forced_sources: Table, dia_object_id: int, *, template_visits: Iterable[int] = ()) -> LightCurve:
    """The light curve of one object.

    Raises
    ------
    InputError
        If the table has no such object, or lacks a column.
    """
    need_columns(forced_sources, NEEDED, name=FORCED_SOURCES)
    own = forced_sources[np.asarray(forced_sources["diaObjectId"]) == dia_object_id]
    if len(own) == 0:
        raise InputError(f"{FORCED_SOURCES} has no diaObjectId {dia_object_id}", id=dia_object_id)
    return next(light_curves(own, template_visits=template_visits))


def nearest_object(forced_sources: Table, *, ra: float, dec: float, within_arcsec: float) -> int:
    """Identifier of the object nearest to a place on the sky.

    Parameters
    ----------
    forced_sources
        With ``diaObjectId``, ``ra`` and ``dec`` of the objects; any table that has them will do.
    ra, dec
        Degrees.
    within_arcsec
        No farther than this.

    Raises
    ------
    InputError
        If a column is missing, or no object is so near; the message tells how far the nearest is.
    """
    need_columns(forced_sources, ("diaObjectId", "ra", "dec"), name=FORCED_SOURCES)
    places = (np.asarray(forced_sources[name], np.float64) for name in ("ra", "dec"))
    arcsec = 3600.0 * angle_of(np.linalg.norm(unit_vectors(*places) - unit_vectors(ra, dec), axis=-1))
    if not (arcsec <= within_arcsec).any():
        nearest = f"the nearest is {arcsec.min():.1f} arcsec away" if len(arcsec) else "there is none"
        raise InputError(f"no object within {within_arcsec:g} arcsec of RA {ra:.5f}, Dec {dec:.5f}; {nearest}")
    return int(forced_sources["diaObjectId"][np.argmin(arcsec)])


def _visits(table: Table) -> IntArray:
    """The column ``visit``, 0 where there is none."""
    return np.asarray(table["visit"]) if "visit" in table.colnames else np.zeros(len(table), np.int64)


def _columns(
    table: Table, read: ColumnReader, visit: IntArray, template_visits: IntArray
) -> dict[str, NDArray[np.generic]]:
    """The arrays of all light curves together."""
    return {
        "ra": read.numbers_or(["ra"], np.nan),
        "dec": read.numbers_or(["dec"], np.nan),
        "mjd": read.numbers(["midpointMjdTai"]),
        "band": np.asarray(table["band"]).astype(np.str_),
        "visit": visit,
        "flux": read.numbers(["psfFlux"]),
        "flux_err": read.numbers(["psfFluxErr"]),
        "science_flux": read.numbers_or(["scienceFlux"], np.nan),
        "science_flux_err": read.numbers_or(["scienceFluxErr"], np.nan),
        "template_flux": np.where(
            read.truths_or(["dp_templateFlux_flag"], False), np.nan, read.numbers_or(["dp_templateFlux"], np.nan)
        ),
        "template_flux_err": read.numbers_or(["dp_templateFluxErr"], np.nan),
        "flag": read.truths_or(["psfFlux_flag"], False),
        "in_template": np.isin(visit, template_visits),
        "is_baseline": np.zeros(len(table), np.bool_),
    }
