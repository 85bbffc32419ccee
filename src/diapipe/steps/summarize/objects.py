"""Summarize DIA objects: mean positions, and statistics of the fluxes of each band, from their sources."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from astropy.table import Table
from numpy.typing import NDArray

from diapipe.catalogs.columns import ColumnReader
from diapipe.catalogs.dia_objects import (
    bands_of_objects,
    check_dia_objects,
    dia_object_table,
    need_columns,
    need_unique,
    with_object_columns,
)
from diapipe.errors import InputError
from diapipe.numerics.arrays import BoolArray, FloatArray, IntArray
from diapipe.numerics.flux_statistics import FluxStatistics, flux_statistics
from diapipe.numerics.grouping import Groups, groups_of
from diapipe.numerics.mean_positions import mean_positions

SOURCES = "the table of DIA sources"
NEEDED = ("diaSourceId", "ra", "dec", "midpointMjdTai", "band", "psfFlux", "psfFluxErr")
"""Columns without which sources cannot be summarized."""

_STATISTICS = {
    "{}_psfFluxMean": "mean",
    "{}_psfFluxMeanErr": "mean_err",
    "{}_psfFluxSigma": "sigma",
    "{}_psfFluxNdata": "n",
    "{}_psfFluxMin": "least",
    "{}_psfFluxMax": "greatest",
    "{}_psfFluxMaxSlope": "steepest",
    "{}_psfFluxErrMean": "err_mean",
    "dp_{}_psfFluxChi2": "chi2",
}
"""Column of a band, and the statistic that it holds."""

_FORCED = {
    "{}_fpFluxMean": "mean",
    "{}_fpFluxMeanErr": "mean_err",
    "dp_{}_fpFluxSigma": "sigma",
    "dp_{}_fpFluxChi2": "chi2",
    "dp_{}_fpFluxNdata": "n",
}
_SCIENCE = {"{}_scienceFluxMean": "mean", "{}_scienceFluxMeanErr": "mean_err"}


def summarize_objects(sources: Table, object_ids: IntArray, *, bands: Sequence[str]) -> Table:
    """One row for each DIA object, by identifier, with all columns of `dia_object_schema`.

    The result does not depend on the order of the sources, to the last bit: they are summed in order of time.

    Parameters
    ----------
    sources
        DIA sources, in any order. Without ``raErr``, ``decErr``, ``ra_dec_Cov`` or ``scienceFlux`` what depends on
        them is NaN, and the positions weigh alike.
    object_ids
        Object of each source, shape (n,); 0 for none.
    bands
        Bands that get columns, in this order. A source without a band counts for position and time alone.

    Raises
    ------
    InputError
        If a column is missing, a source is there twice, a source has a band that is not among ``bands``, or the
        identifiers are not one for each source.
    """
    need_columns(sources, NEEDED, name=SOURCES)
    ids, object_ids = np.asarray(sources["diaSourceId"]), np.asarray(object_ids)
    need_unique(ids, name=SOURCES, column="diaSourceId")
    if object_ids.shape != ids.shape:
        raise InputError(f"{len(object_ids)} object identifiers for {len(ids)} sources; each source needs one")
    read = ColumnReader(sources, SOURCES)
    time = read.numbers(["midpointMjdTai"])
    objects = _distinct(object_ids[object_ids != 0])
    band = _band_numbers(sources["band"], bands)
    _refuse_other_bands(sources["band"], band == len(bands), bands)
    groups = _grouped(object_ids, objects, band, len(bands), np.lexsort((ids, time)))
    by_object = groups.every(len(bands) + 1)
    return dia_object_table(
        {
            "diaObjectId": objects,
            "nDiaSources": np.diff(by_object.starts),
            **_positions(read, by_object),
            **_times(time, by_object),
            **_by_band(_statistics(read, "psfFlux", time, groups), _STATISTICS, bands),
            **_by_band(_statistics(read, "scienceFlux", time, groups), _SCIENCE, bands),
        },
        n=len(objects),
        bands=bands,
        flux_unit=str(sources["psfFlux"].unit or ""),
    )


def with_forced_fluxes(dia_objects: Table, forced_sources: Table) -> Table:
    """The same objects with the ``fpFlux`` columns filled from their forced fluxes on the differences.

    Fluxes whose ``psfFlux_flag`` is set do not count; fluxes of objects that are not in the table, or in bands that it
    has no columns for, are left alone.

    Raises
    ------
    InputError
        If a column is missing.
    """
    name = "the table of forced sources"
    need_columns(forced_sources, ("diaObjectId", "band", "psfFlux", "psfFluxErr"), name=name)
    check_dia_objects(dia_objects)
    read, bands = ColumnReader(forced_sources, name), bands_of_objects(dia_objects)
    at = np.argsort(dia_objects["diaObjectId"])
    ids = np.where(read.truths_or(["psfFlux_flag"], False), 0, forced_sources["diaObjectId"])
    band = _band_numbers(forced_sources["band"], bands)
    order = _fixed_order(forced_sources)
    groups = _grouped(ids, np.asarray(dia_objects["diaObjectId"])[at], band, len(bands), order)
    found = _by_band(_statistics(read, "psfFlux", np.zeros(len(forced_sources)), groups), _FORCED, bands)
    row = np.argsort(at)
    return with_object_columns(dia_objects, {name: values[row] for name, values in found.items()})


def _fixed_order(forced_sources: Table) -> IntArray:
    """Rows in an order that is that of what they say, so that sums do not depend on how they came."""
    keys = [name for name in ("psfFlux", "psfFluxErr", "detector", "visit") if name in forced_sources.colnames]
    return np.lexsort([np.asarray(forced_sources[key]) for key in keys])


def _distinct(ids: IntArray) -> IntArray:
    """Each identifier once, sorted; by sorting, which for so many is faster than `numpy.unique`'s table."""
    ordered = np.sort(ids)
    return ordered[np.concatenate([[True], ordered[1:] != ordered[:-1]])] if len(ordered) else ordered


def _band_numbers(column: NDArray[np.str_], bands: Sequence[str]) -> IntArray:
    """Index of each row's band; the number of bands for one that is not among them."""
    names, at = np.unique(np.asarray(column), return_inverse=True)
    places = {band: index for index, band in enumerate(bands)}
    return np.array([places.get(str(name), len(bands)) for name in names], dtype=np.int64)[at]


def _refuse_other_bands(column: NDArray[np.str_], other: BoolArray, bands: Sequence[str]) -> None:
    """Refuse a source whose flux would be lost."""
    strange = sorted({str(band) for band in np.unique(np.asarray(column)[other])} - {""})
    if strange:
        raise InputError(
            f"{SOURCES} has sources in band {', '.join(strange)}; "
            f"the columns asked for are of {', '.join(bands) or 'none'}",
            bands=strange,
        )


def _grouped(ids: IntArray, objects: IntArray, band: IntArray, n_bands: int, order: IntArray) -> Groups:
    """Rows by object, then by band, those without a band last; objects are sorted, rows of other objects left out."""
    if len(objects) == 0:
        return Groups(np.zeros(0, np.int64), np.zeros(1, np.int64))
    at = np.minimum(np.searchsorted(objects, ids), len(objects) - 1)
    cell = np.where(objects[at] == ids, at * (n_bands + 1) + band, -1)
    return groups_of(cell, n_groups=len(objects) * (n_bands + 1), order=order)


def _positions(read: ColumnReader, by_object: Groups) -> dict[str, FloatArray]:
    """Mean positions with errors."""
    found = mean_positions(
        read.numbers(["ra"], unit="deg")[by_object.rows],
        read.numbers(["dec"], unit="deg")[by_object.rows],
        read.numbers_or(["raErr"], np.nan, unit="deg")[by_object.rows],
        read.numbers_or(["decErr"], np.nan, unit="deg")[by_object.rows],
        read.numbers_or(["ra_dec_Cov"], 0.0, unit="deg2")[by_object.rows],
        by_object.starts,
    )
    return dict(zip(("ra", "dec", "raErr", "decErr", "ra_dec_Cov"), found, strict=True))


def _times(time: FloatArray, by_object: Groups) -> dict[str, FloatArray]:
    """First and last time; no object is without a source."""
    members, starts = time[by_object.rows], by_object.starts[:-1]
    if len(starts) == 0:
        return {}
    first, last = np.fmin.reduceat(members, starts), np.fmax.reduceat(members, starts)
    return {"firstDiaSourceMjdTai": first, "lastDiaSourceMjdTai": last, "validityStartMjdTai": last}


def _by_band(found: FluxStatistics, columns: Mapping[str, str], bands: Sequence[str]) -> dict[str, NDArray[np.generic]]:
    """Columns of statistics, band by band."""
    return {
        column.format(band): getattr(found, statistic)[index :: len(bands) + 1]
        for index, band in enumerate(bands)
        for column, statistic in columns.items()
    }


def _statistics(read: ColumnReader, flux: str, time: FloatArray, groups: Groups) -> FluxStatistics:
    """Statistics of a flux in every group; nothing is counted where the table has no such flux."""
    values, errors = (read.numbers_or([name], np.nan)[groups.rows] for name in (flux, f"{flux}Err"))
    return flux_statistics(values, errors, time[groups.rows], groups.starts)
