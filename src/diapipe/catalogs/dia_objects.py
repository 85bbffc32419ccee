"""The tables of DIA objects and of forced sources: made complete by their schemas, and checked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from astropy.table import Table
from numpy.typing import NDArray

from diapipe.catalogs.object_schema import DIA_FORCED_SOURCE, LSST_BANDS, dia_object_schema
from diapipe.catalogs.tables import table_of
from diapipe.errors import InputError, counted
from diapipe.numerics.arrays import IntArray

_MARK = "_psfFluxMean"


def dia_object_table(
    measured: Mapping[str, NDArray[np.generic]], *, n: int, bands: Iterable[str], flux_unit: str = "nJy"
) -> Table:
    """Table of DIA objects with every column of `dia_object_schema`; what is left out is NaN or 0.

    Raises
    ------
    InternalError
        If a name is not in the schema.
    """
    return table_of(dia_object_schema(bands), measured, n=n, flux_unit=flux_unit)


def with_object_columns(dia_objects: Table, measured: Mapping[str, NDArray[np.generic]]) -> Table:
    """The same objects with columns of `dia_object_schema` filled; one that an older table lacks is added.

    Parameters
    ----------
    dia_objects
        The objects.
    measured
        Arrays in the order of their rows, by column; of bands that the table has.
    """
    bands = bands_of_objects(dia_objects)
    unit = str(dia_objects[f"{bands[0]}{_MARK}"].unit or "") if bands else ""
    schema = [column for column in dia_object_schema(bands) if column.name in measured]
    filled = dia_objects.copy()
    for column in table_of(schema, measured, n=len(dia_objects), flux_unit=unit).itercols():
        filled[column.name] = column
    return filled


def dia_forced_source_table(measured: Mapping[str, NDArray[np.generic]], *, n: int, flux_unit: str = "nJy") -> Table:
    """Table of forced sources with every column of `DIA_FORCED_SOURCE`; what is left out is NaN, 0, False or "".

    Raises
    ------
    InternalError
        If a name is not in the schema.
    """
    return table_of(DIA_FORCED_SOURCE, measured, n=n, flux_unit=flux_unit)


def ordered_bands(bands: Iterable[str]) -> tuple[str, ...]:
    """Each band once: those of Rubin by wavelength, then the others by name; always in the same order."""
    given = {str(band) for band in bands} - {""}
    return (*(band for band in LSST_BANDS if band in given), *sorted(given - set(LSST_BANDS)))


def bands_of_sources(table: Table) -> tuple[str, ...]:
    """Bands in the column ``band``, ordered; InputError if there is no such column."""
    need_columns(table, ("band",), name="the table of sources")
    return ordered_bands(np.unique(np.asarray(table["band"])))


def bands_of_objects(table: Table) -> tuple[str, ...]:
    """Bands that a table of DIA objects has columns for, in the order of its columns."""
    return tuple(
        name.removesuffix(_MARK) for name in table.colnames if name.endswith(_MARK) and not name.startswith("dp_")
    )


def need_columns(table: Table, names: Sequence[str], *, name: str) -> None:
    """Refuse a table that lacks columns.

    Raises
    ------
    InputError
        The message names those missing and those there.
    """
    missing = [column for column in names if column not in table.colnames]
    if missing:
        raise InputError(
            f"{name} has no column {', '.join(missing)}; it has {', '.join(table.colnames[:20]) or 'none'}",
            missing=missing,
        )


def need_unique(ids: IntArray, *, name: str, column: str) -> None:
    """Refuse identifiers of which two are equal.

    Raises
    ------
    InputError
        The message names the first of them and how many there are.
    """
    ordered = np.sort(ids)
    twice = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
    if len(twice):
        raise InputError(
            f"{name} has {counted(len(twice), column)} more than once, the first of them {twice[0]}; "
            "each must be there once",
            ids=twice.tolist()[:20],
        )


def need_positions(table: Table, *, name: str) -> None:
    """Refuse a table in which a row has no position.

    Raises
    ------
    InputError
        The message says how many rows have none, and the first of them.
    """
    unknown = np.zeros(len(table), np.bool_)
    for column in ("ra", "dec"):
        unknown |= ~np.isfinite(np.ma.filled(np.ma.asarray(table[column]), np.nan))
    if unknown.any():
        first = int(np.flatnonzero(unknown)[0])
        raise InputError(
            f"{counted(int(unknown.sum()), 'row')} of {name} have no position (ra or dec is not finite), the first is "
            f"row {first}; each must have one",
            row=first,
        )


def check_dia_objects(table: Table, *, name: str = "the table of DIA objects") -> None:
    """Refuse a table of DIA objects that nothing can be measured at.

    Raises
    ------
    InputError
        If a column is missing, an object is there twice, or one has no position.
    """
    need_columns(table, ("diaObjectId", "ra", "dec"), name=name)
    need_unique(np.asarray(table["diaObjectId"]), name=name, column="diaObjectId")
    need_positions(table, name=name)
