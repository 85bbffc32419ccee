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

NEEDED = ("diaObjectId", "midpointMjdTai", "band", "psfFlux", "psfFluxErr")
FORCED_SOURCES = "the table of forced sources"


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
        "flag": read.truths_or(["psfFlux_flag"], False),
        "in_template": np.isin(visit, template_visits),
        "is_baseline": np.zeros(len(table), np.bool_),
    }
