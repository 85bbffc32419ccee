"""Tables that are complete by a schema: every column, in its order, with type, unit and description."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from astropy import units
from astropy.table import Column as TableColumn
from astropy.table import Table, TableMergeError, vstack
from numpy.typing import NDArray

from diapipe.catalogs.schema import AREA, FLUX, FLUX_PER_DAY, Column
from diapipe.errors import InputError, InternalError


def table_of(
    schema: Iterable[Column],
    measured: Mapping[str, NDArray[np.generic]],
    *,
    n: int,
    flux_unit: str = "",
    area_unit: str = "arcsec2",
) -> Table:
    """Table with every column of a schema.

    Parameters
    ----------
    schema
        Its columns.
    measured
        Arrays of ``n`` rows by column name. A column left out is NaN, 0, False or "".
    n
        Number of rows.
    flux_unit
        Unit of the fluxes; one that astropy does not know is kept as a word.
    area_unit
        Unit of the second moments.

    Raises
    ------
    InternalError
        If a name is not in the schema.
    """
    columns = list(schema)
    unknown = set(measured) - {column.name for column in columns}
    if unknown:
        raise InternalError(f"the schema has no column {', '.join(sorted(unknown))}")
    stands_for = {FLUX: flux_unit, FLUX_PER_DAY: f"{flux_unit or 1}/d", AREA: area_unit}
    table = Table()
    for column in columns:
        unit = stands_for.get(column.unit, column.unit)
        table[column.name] = TableColumn(
            _values(column, measured.get(column.name), n), unit=_unit(unit), description=column.description
        )
    return table


def table_of_rows(schema: Iterable[Column], rows: Sequence[Mapping[str, Any]]) -> Table:
    """The same of rows: what is not in one is NaN, 0, False or "".

    Parameters
    ----------
    schema
        Its columns.
    rows
        One mapping for each, by column name.

    Raises
    ------
    InternalError
        If a name is not in the schema.
    """
    columns = list(schema)
    names = {name for row in rows for name in row}
    nothing = {column.name: _nothing(np.dtype(column.dtype)) for column in columns}
    given = {name: np.array([row.get(name, nothing.get(name)) for row in rows]) for name in names}
    return table_of(columns, given, n=len(rows))


def _nothing(kind: np.dtype[Any]) -> Any:
    """What stands in a row that has no such entry."""
    return np.full(kind.shape, np.nan) if kind.base.kind == "f" else np.zeros((), kind)[()]


def stacked(tables: Sequence[Table], *, name: str) -> Table:
    """The rows of several tables of one kind; tables without rows say nothing of types and units.

    Parameters
    ----------
    tables
        At least one.
    name
        What messages call one of them.

    Raises
    ------
    InputError
        If a column has one unit here and another there, as fluxes of images with and without a calibration have, or
        the tables do not fit together.
    """
    filled = [table for table in tables if len(table)] or list(tables[:1])
    for column in filled[0].colnames:
        found = {str(table[column].unit or "no unit"): None for table in filled if column in table.colnames}
        if len(found) > 1:
            raise InputError(f"{column} of {name} is in {' here and in '.join(found)} there; it must be in one unit")
    try:
        return vstack(filled, metadata_conflicts="silent")
    except TableMergeError as error:
        raise InputError(f"the tables of {name} cannot be put together: {error}") from error


def same_rows(one: Table, other: Table) -> bool:
    """Whether two tables have the same columns and values, NaN being like NaN."""
    if one.colnames != other.colnames or len(one) != len(other):
        return False
    pairs = ((np.asarray(one[name]), np.asarray(other[name])) for name in one.colnames)
    return all(bool(np.all((a == b) | ((a != a) & (b != b)))) for a, b in pairs)


def _values(column: Column, values: NDArray[np.generic] | None, n: int) -> NDArray[np.generic]:
    """The column's array in its type; a type like ``(4,)f8`` has so many numbers in a row."""
    if values is not None:
        return np.asarray(values).astype(np.dtype(column.dtype).base)
    empty = np.zeros(n, column.dtype)
    if empty.dtype.kind == "f":
        empty.fill(np.nan)
    return empty


def _unit(name: str) -> units.UnitBase | None:
    """Astropy's unit of a name, or the name as an unrecognised unit."""
    return units.Unit(name, parse_strict="silent") if name else None
